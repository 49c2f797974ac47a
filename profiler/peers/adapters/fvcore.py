"""``fvcore.nn.FlopCountAnalysis``: MACs of contractions, plus real FLOPs of norms, adaptive pools and resampling.

It reads a ``torch.jit`` trace (see ``emulation/jit_trace.py``): an operator that Python called has a handler or counts
0. So most deviations are families of operators, and an operator belongs to at most one family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.fvcore_handlers import HANDLERS, claimed_macs
from profiler.peers.emulation.jit_trace import FLAT_MODEL, has_named_padding
from profiler.peers.forward_pass import composite_macs, mac_contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, is_under
from profiler.values.records import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.composite_calls import CompositeCall

PEER = Peer(
    "fvcore",
    unit="MAC",
    distributions=("fvcore",),
    convention=(
        "One for each multiply-add of the contractions that have a handler, plus real FLOPs of norms, adaptive pools "
        "and resampling."
    ),
)
_VERSIONS = "0.1.5.post20221221"
_HANDLERS = "fvcore/nn/flop_count.py: _DEFAULT_SUPPORTED_OPS"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Trace the model, and return its counts by module and its parameters."""
    from fvcore.nn import FlopCountAnalysis, parameter_count  # noqa: PLC0415 - the peer itself

    from profiler.peers.emulation.flat_model import FlatModel  # noqa: PLC0415 - imports torch

    flat = FlatModel(model, args, kwargs)
    analysis = FlopCountAnalysis(flat, tuple(flat.tensors.values()))
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False).tracer_warnings("none")
    counts = {_path(name): count for name, count in analysis.by_module().items() if name}
    params = parameter_count(model)
    names = dict(model.named_modules())
    return PeerResult(analysis.total(), counts, params[""], {name: n for name, n in params.items() if name in names})


def _path(name: str) -> str:
    """Return the path in the model of a path in the ``FlatModel``."""
    return name.removeprefix(FLAT_MODEL).removeprefix(".")


#: The deviation that an operator belongs to, unless how it was called decides that.
_FAMILIES = {
    "aten.matmul": "FV-BROADCAST",
    "aten.einsum": "FV-EINSUM",
    **dict.fromkeys(("aten.batch_norm", "aten.group_norm", "aten.layer_norm", "aten.instance_norm"), "FV-NORM"),
    "aten.adaptive_avg_pool2d": "FV-POOL",
    **dict.fromkeys(("aten.upsample_nearest2d", "aten.upsample_bilinear2d", "aten.grid_sampler"), "FV-RESAMPLE"),
    "aten.scaled_dot_product_attention": "FV-SDPA",
    **dict.fromkeys(("aten.lstm", "aten.gru", "aten.rnn_tanh", "aten.rnn_relu"), "FV-RNN"),
}  # fmt: skip


def _family(call: CompositeCall) -> str:
    """Return the code of the deviation that a call belongs to, if it deviates at all."""
    packet = call.record.packet
    if not call.used:
        return "FV-UNUSED"
    if call.function:
        return "FV-FUNCTION"
    if has_named_padding(call.record):
        return "FV-SAME"
    if packet in HANDLERS and any(spec.is_complex for spec in tensors(call.record.results)):
        return "FV-COMPLEX"
    return _FAMILIES.get(packet, "FV-UNSUPPORTED")


def _add_family(code: str, kind: CauseKind, why: str, where: str = _HANDLERS) -> None:
    """Register a family of operators as a deviation: our MACs of their calls minus what fvcore counts."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for call in forward_pass.composite_calls:
            if _family(call) == code:
                amount = composite_macs(call) - claimed_macs(call)
                yield Contribution(call.record.module, call.record.packet, call.record.calls * amount)

    PEER.deviates(code, kind, why, where=where, versions=_VERSIONS)(rule)


_add_family(
    "FV-NORM", CauseKind.CONVENTION, "adds 5 real FLOPs per element of a norm, or 2 for a BatchNorm in eval mode"
)
_add_family(
    "FV-POOL", CauseKind.CONVENTION, "adds one real FLOP per input element of a 2-dimensional adaptive average pool"
)
_add_family(
    "FV-RESAMPLE", CauseKind.CONVENTION, "adds 4 real FLOPs per output element of bilinear resampling, 1 of nearest"
)
_add_family("FV-SDPA", CauseKind.ATTENTION, "has no handler for scaled_dot_product_attention and counts it as 0")
_add_family("FV-RNN", CauseKind.RECURRENT, "has no handler for LSTM, GRU and RNN and counts them as 0")
_add_family(
    "FV-SAME",
    CauseKind.PADDING,
    "has no handler for a convolution with padding='same' or 'valid' and counts it as 0",
)
_add_family("FV-UNSUPPORTED", CauseKind.UNSUPPORTED, "has no handler for these operators and counts them as 0")
_add_family(
    "FV-BROADCAST",
    CauseKind.BROADCAST,
    "counts a matmul by the elements of its first operand, even if that operand is broadcast",
    "fvcore/nn/jit_handles.py: matmul_flop_jit",
)
_add_family(
    "FV-EINSUM",
    CauseKind.FORMULA,
    "counts half of NumPy's FLOP estimate for an einsum: rounded to four digits, and half a MAC for each product that "
    "is not summed",
    "fvcore/nn/jit_handles.py: einsum_flop_jit",
)
_add_family(
    "FV-COMPLEX", CauseKind.DTYPE, "counts a complex multiply-add as one instead of four", "fvcore/nn/jit_handles.py"
)
_add_family(
    "FV-FUNCTION",
    CauseKind.UNSUPPORTED,
    "sees a custom autograd function or a scripted function as one operator without a handler",
    "fvcore/nn/jit_analysis.py: JitModelAnalysis._analyze",
)
_add_family(
    "FV-UNUSED",
    CauseKind.UNUSED,
    "does not count operators on which the output does not depend: the tracer drops them",
    "torch/csrc/jit/python/python_tracer.cpp: createGraphByTracing",
)


@PEER.deviates(
    "FV-ALIAS",
    CauseKind.ALIAS,
    "reports all calls of a shared module under the first of its names",
    where="fvcore/nn/jit_analysis.py: JitModelAnalysis._get_aliases",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move fvcore's count of a call from the path where a shared module was called to the module's first path."""
    for facts in forward_pass.facts:
        for call in facts.composite_calls:
            if call.record.module != facts.path:
                amount = call.record.calls * claimed_macs(call)
                yield Contribution(call.record.module, call.record.packet, amount)
                yield Contribution(facts.path, call.record.packet, -amount)


_FUSED = frozenset({"aten._native_multi_head_attention", "aten._transformer_encoder_layer_fwd"})


@PEER.deviates(
    "FV-FASTPATH",
    CauseKind.FUSED,
    "traces with gradients enabled: the work of our one fused operator is in the submodules, padding included",
    where="fvcore/nn/jit_analysis.py: _get_scoped_trace_graph",
    versions=_VERSIONS,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Replace the MACs of fused operators by those of the operators that run with gradients enabled."""
    fused = {e.record.module: e.record.packet for e in forward_pass.entries if e.record.packet in _FUSED}
    for top, packet in fused.items():
        if any(top != other and is_under(top, other) for other in fused):
            continue
        for contribution in mac_contributions(forward_pass.under(top)):
            yield contribution._replace(operator=packet)
        for call in forward_pass.composite_calls:
            if is_under(call.record.module, top):
                yield Contribution(call.record.module, packet, -call.record.calls * composite_macs(call))
