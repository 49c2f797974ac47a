"""``fvcore.nn.FlopCountAnalysis``: multiply-adds of contractions, and real FLOPs of norms, pools and resampling.

It traces the model with gradients enabled, so that no module takes a fast path, and looks at the operators that the
tracer wrote down: those that Python called, composite ones whole, without those on which the output does not depend.
Each has either a handler or a count of 0. So a departure here is a family of operators, and each operator that Python
called is in one family at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from profiler.peers.emulation.fvcore_handlers import HANDLERS, counted, is_same, our_macs
from profiler.peers.peer import Peer, PeerResult
from profiler.trace.composite_calls import tensors_in
from profiler.values.findings import CauseKind, Contribution, is_under
from profiler.values.records import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.composite_calls import CompositeCall

PEER = Peer(
    "fvcore",
    unit="MAC",
    distributions=("fvcore",),
    convention=(
        "One for each multiply-add of the contractions that have a handler; real FLOPs of norms, adaptive pools and "
        "resampling are added to them."
    ),
)
_SEEN = "0.1.5.post20221221"
_HANDLERS = "fvcore/nn/flop_count.py: _DEFAULT_SUPPORTED_OPS"
_NAME = "model"


class Flat(nn.Module):
    """A model as a tracer wants it: tensors in, each of them once, and tensors out."""

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what is no tensor among the inputs."""
        super().__init__()
        self.add_module(_NAME, model)
        leaves, self._spec = tree_flatten((args, kwargs))
        self.tensors = {id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}
        order = list(self.tensors)
        self._leaves = [(order.index(id(x)), None) if id(x) in self.tensors else (None, x) for x in leaves]

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Call the model as it was to be called."""
        leaves = [constant if place is None else tensors[place] for place, constant in self._leaves]
        args, kwargs = tree_unflatten(leaves, self._spec)
        return tuple(tensors_in(getattr(self, _NAME)(*args, **kwargs)))


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Trace the model, and ask for every module and for the parameters."""
    from fvcore.nn import FlopCountAnalysis, parameter_count  # noqa: PLC0415 - the peer itself

    flat = Flat(model, args, kwargs)
    analysis = FlopCountAnalysis(flat, tuple(flat.tensors.values()))
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False).tracer_warnings("none")
    counts = {_path(name): count for name, count in analysis.by_module().items() if name}
    params = parameter_count(model)
    names = dict(model.named_modules())
    return PeerResult(analysis.total(), counts, params[""], {name: n for name, n in params.items() if name in names})


def _path(name: str) -> str:
    return name.removeprefix(_NAME).removeprefix(".")


#: The family of an operator, where it is not told by other means.
_FAMILIES = {
    "aten.matmul": "FV-BROADCAST",
    "aten.einsum": "FV-EINSUM",
    **dict.fromkeys(("aten.batch_norm", "aten.group_norm", "aten.layer_norm", "aten.instance_norm"), "FV-NORM"),
    "aten.adaptive_avg_pool2d": "FV-POOL",
    **dict.fromkeys(("aten.upsample_nearest2d", "aten.upsample_bilinear2d", "aten.grid_sampler"), "FV-RESAMPLE"),
    "aten.scaled_dot_product_attention": "FV-SDPA",
    **dict.fromkeys(("aten.lstm", "aten.gru", "aten.rnn_tanh", "aten.rnn_relu"), "FV-RNN"),
}  # fmt: skip


def _family(whole: CompositeCall) -> str:
    """Say under which code an operator departs, if it does."""
    packet = whole.record.packet
    if not whole.used:
        return "FV-UNUSED"
    if whole.function:
        return "FV-FUNCTION"
    if is_same(whole.record):
        return "FV-SAME"
    if packet in HANDLERS and any(spec.is_complex for spec in tensors(whole.record.results)):
        return "FV-COMPLEX"
    return _FAMILIES.get(packet, "FV-UNSUPPORTED")


def _departs(code: str, kind: CauseKind, why: str, where: str = _HANDLERS) -> None:
    """Register a family of operators as a departure: what we count of them, less what fvcore does."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for whole in forward_pass.composite_calls:
            if _family(whole) == code:
                amount = our_macs(whole) - counted(whole)
                yield Contribution(whole.record.module, whole.record.packet, whole.record.calls * amount)

    PEER.deviates(code, kind, why, where=where, seen=_SEEN)(rule)


_departs("FV-NORM", CauseKind.CONVENTION, "adds 5 real FLOPs for each element of a norm, 2 of a BatchNorm in eval mode")
_departs("FV-POOL", CauseKind.CONVENTION, "adds 1 FLOP for each input element of a 2-d adaptive average pool")
_departs("FV-RESAMPLE", CauseKind.CONVENTION, "adds 4 FLOPs for each output of bilinear resampling, 1 of nearest")
_departs("FV-SDPA", CauseKind.ATTENTION, "has no handler for scaled_dot_product_attention, and counts 0")
_departs("FV-RNN", CauseKind.RECURRENT, "has no handler for LSTM, GRU and RNN, and counts 0")
_departs("FV-SAME", CauseKind.PADDING, "has no handler for a convolution whose padding has a name, and counts 0")
_departs("FV-UNSUPPORTED", CauseKind.UNSUPPORTED, "has no handler for these operators, and counts 0")
_departs(
    "FV-BROADCAST",
    CauseKind.BROADCAST,
    "counts a matmul by the elements of its first operand, also where these are used several times",
    "fvcore/nn/jit_handles.py: matmul_flop_jit",
)
_departs(
    "FV-EINSUM",
    CauseKind.FORMULA,
    "halves numpy's estimate of an einsum: four digits of it, and half a FLOP for a product that is not summed",
    "fvcore/nn/jit_handles.py: einsum_flop_jit",
)
_departs("FV-COMPLEX", CauseKind.DTYPE, "counts a product of complex numbers as one", "fvcore/nn/jit_handles.py")
_departs(
    "FV-FUNCTION",
    CauseKind.UNSUPPORTED,
    "sees a custom autograd function, or a scripted one, as one operator without a handler",
    "fvcore/nn/jit_analysis.py: JitModelAnalysis._analyze",
)
_departs(
    "FV-UNUSED",
    CauseKind.UNUSED,
    "does not see what the output does not depend on: the tracer drops it",
    "torch/csrc/jit/python/python_tracer.cpp: createGraphByTracing",
)


@PEER.deviates(
    "FV-ALIAS",
    CauseKind.ALIAS,
    "puts all calls of a shared module under the first of its names",
    where="fvcore/nn/jit_analysis.py: JitModelAnalysis._get_aliases",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move what fvcore counts from the name under which a module was called to its first."""
    for facts in forward_pass.facts:
        for whole in facts.composite_calls:
            if whole.record.module != facts.path:
                moved_macs = whole.record.calls * counted(whole)
                yield Contribution(whole.record.module, whole.record.packet, moved_macs)
                yield Contribution(facts.path, whole.record.packet, -moved_macs)


_FUSED = frozenset({"aten._native_multi_head_attention", "aten._transformer_encoder_layer_fwd"})


@PEER.deviates(
    "FV-FASTPATH",
    CauseKind.FUSED,
    "traces with gradients enabled, so what we saw in a fused operator is at the modules inside, padding included",
    where="fvcore/nn/jit_analysis.py: _get_scoped_trace_graph",
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move what ran in a fused operator to where the same runs without."""
    tops = {e.record.module: e.record.packet for e in forward_pass.entries if e.record.packet in _FUSED}
    for top, packet in tops.items():
        if any(top != other and is_under(top, other) for other in tops):
            continue
        for entry in forward_pass.under(top):
            yield Contribution(entry.record.module, packet, entry.record.calls * entry.macs)
        for whole in forward_pass.composite_calls:
            if is_under(whole.record.module, top):
                yield Contribution(whole.record.module, packet, -whole.record.calls * our_macs(whole))
