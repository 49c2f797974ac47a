"""torchprofile: MACs of the operators in a JIT trace, plus one for each result element of some other operators.

It reads a ``torch.jit`` trace (see ``emulation/jit_trace.py``). Current tracers record no module names for it, so it
reports the total only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.jit_trace import has_named_padding
from profiler.peers.emulation.torchprofile_handlers import HANDLERS, claimed_macs
from profiler.peers.emulation.traced_sizes import size_products
from profiler.peers.forward_pass import composite_macs
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.composite_calls import CompositeCall

PEER = Peer(
    "torchprofile",
    unit="MAC",
    distributions=("torchprofile",),
    convention=(
        "MACs of contractions, plus one for each result element of a product, norm, average pool or leaky ReLU."
    ),
    install="pip install 'profiler[peers]'",
)
_VERSIONS = "0.1.0"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Trace the model, wrapped to take positional tensors only, and return the total."""
    from torchprofile import profile  # noqa: PLC0415 - the peer itself

    from profiler.peers.emulation.flat_model import FlatModel  # noqa: PLC0415 - imports torch

    flat = FlatModel(model, args, kwargs)
    nodes: list[Any] = []

    def trace(*arguments: Any) -> Any:
        graph = peers_trace(*arguments)
        nodes.extend(graph.nodes)
        return graph

    peers_trace, profile.trace = profile.trace, trace
    try:
        macs = profile.profile_macs(flat, tuple(flat.tensors.values()), reduction=None)
    finally:
        profile.trace = peers_trace
    return PeerResult(sum(macs.values()), size_products=sum(macs.get(node, 0) for node in size_products(nodes)))


def _family(call: CompositeCall) -> str:
    """Return the code of the deviation that a call belongs to, if it deviates at all."""
    if not call.used:
        return "TP-UNUSED"
    if call.function:
        return "TP-FUNCTION"
    if has_named_padding(call.record):
        return "TP-SAME"
    return HANDLERS.get(call.record.packet, ("TP-UNSUPPORTED",))[0]


def _add_family(code: str, kind: CauseKind, why: str, where: str = "torchprofile/handlers.py: HANDLER_MAP") -> None:
    """Register a family of operators as a deviation: our MACs of their calls minus what torchprofile counts."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for call in forward_pass.composite_calls:
            if _family(call) == code:
                amount = composite_macs(call) - claimed_macs(call)
                yield Contribution(call.record.module, call.record.packet, call.record.calls * amount)

    PEER.deviates(code, kind, why, where=where, versions=_VERSIONS)(rule)


_add_family("TP-MUL", CauseKind.UNIT, "adds one MAC per element of an element-wise product (but none for a sum)")
_add_family("TP-NORM", CauseKind.CONVENTION, "adds one MAC per element of a norm that has a weight")
_add_family("TP-POOL", CauseKind.CONVENTION, "adds one MAC per output element of an average pool or mean")
_add_family("TP-LEAKY", CauseKind.CONVENTION, "adds one MAC per element of a leaky ReLU")
_add_family(
    "TP-RESAMPLE",
    CauseKind.CONVENTION,
    "adds 4 MACs per output element of bilinear resampling, or 16 for a bicubic grid_sample",
)
_add_family(
    "TP-SAME",
    CauseKind.PADDING,
    "has no handler for a convolution with padding='same' or 'valid' and counts it as 0",
)
_add_family(
    "TP-UNSUPPORTED",
    CauseKind.UNSUPPORTED,
    "has no handler for these operators (mm, GRU, RNN, …) and counts them as 0",
)


@PEER.deviates(
    "TP-SIZES",
    CauseKind.SPURIOUS,
    "adds 1 for each product of two sizes that the model computes while it is traced",
    where="torchprofile/handlers.py: _mul",
    versions=_VERSIONS,
)
def _sizes(forward_pass: ForwardPass) -> Iterator[Contribution]:
    yield Contribution("", "sizes", -forward_pass.size_products)


_add_family("TP-COMPLEX", CauseKind.DTYPE, "counts a complex multiply-add as one instead of four")
_add_family(
    "TP-CONVT",
    CauseKind.GRID,
    "counts a transposed convolution on the grid of its output, and ignores its groups",
    "torchprofile/handlers.py: _convolution",
)
_add_family(
    "TP-LSTM",
    CauseKind.RECURRENT,
    "uses the projected width of an LSTM (proj_size) as its hidden size",
    "torchprofile/handlers.py: _lstm",
)
_add_family(
    "TP-EINSUM",
    CauseKind.FORMULA,
    "multiplies the sizes of all indices of an einsum, or counts 0 if the equation has an ellipsis",
    "torchprofile/handlers.py: _einsum",
)
_add_family(
    "TP-FUNCTION",
    CauseKind.UNSUPPORTED,
    "sees a custom autograd function as one operator without a handler",
    "torch/csrc/autograd/python_function.cpp",
)
_add_family(
    "TP-UNUSED",
    CauseKind.UNUSED,
    "does not count operators on which the output does not depend: the tracer drops them",
    "torch/csrc/jit/python/python_tracer.cpp: createGraphByTracing",
)
