"""torchprofile: multiply-adds of the operators in a JIT trace, and one for each result of some others.

It traces with gradients enabled, so that no module takes a fast path, and reads the operators that the tracer wrote
down, without those on which the output does not depend. It has no names of modules any more: the total alone.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.adapters.fvcore import Flat
from profiler.peers.peer import Peer, PeerResult
from profiler.tally.tally import cost_record
from profiler.values.findings import CauseKind, Contribution
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import Shape

PEER = Peer(
    "torchprofile",
    unit="MAC",
    distributions=("torchprofile",),
    convention="MACs of contractions; and one for each result of a product, norm, average pool or leaky ReLU.",
    install="pip install 'profiler[peers]'",
)
_SEEN = "0.1.0"
_GRID = {0: 4, 1: 0, 2: 16}


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Trace the model; it takes positional tensors alone, so it is given the model as one of those."""
    from torchprofile import profile_macs  # noqa: PLC0415 - the peer itself

    flat = Flat(model, args, kwargs)
    return PeerResult(profile_macs(flat, tuple(flat.tensors.values())))


def _argument(whole: CompositeCall, name: str) -> Any:
    return dict(whole.record.arguments)[name]


def _macs(whole: CompositeCall) -> int:
    """Sum our MACs of one call."""
    return sum(part.calls * cost_record(part).macs for part in whole.parts)


def _products(whole: CompositeCall) -> int:
    """Sum the products of one call, a complex one as one."""
    entries = [cost_record(part) for part in whole.parts]
    return sum(e.record.calls * (e.macs // 4 if e.dtype.startswith("complex") else e.macs) for e in entries)


def _result(whole: CompositeCall, position: int = 0) -> Shape:
    result = whole.record.results[position]
    assert isinstance(result, TensorSpec)  # noqa: S101 - each such operator has one
    return result.shape


def _elements(whole: CompositeCall) -> int:
    """Take 1 for each element of the result."""
    return prod(_result(whole))


def _affine(whole: CompositeCall) -> int:
    """Take 1 for each element of a norm that is scaled."""
    return _elements(whole) * (_argument(whole, "weight") is not None)


def _transposed(whole: CompositeCall) -> int:
    """Tell a transposed convolution by its channels, and take all inputs of a weight for those of one output."""
    out, weight = _result(whole), _argument(whole, "weight").shape
    if len(out) == len(weight) - 1:  # the tracer sees the batch of 1 that a convolution without one is given
        out = (1, *out)
    return int(prod(out) * (weight[1] if out[1] == weight[0] else weight[0]) * prod(weight[2:]))


def _lstm(whole: CompositeCall) -> int:
    """Take the width of what an LSTM passes on for its hidden size."""
    out, state = _result(whole), _result(whole, 1)
    hidden, inputs = state[-1], _argument(whole, "input").shape[-1]
    directions = out[-1] // hidden
    layers = state[0] // directions
    widths = (inputs if layer == 0 else hidden * directions for layer in range(layers))
    return out[0] * out[1] * directions * sum(4 * hidden * (width + hidden) for width in widths)


def _einsum(whole: CompositeCall) -> int:
    """Multiply the sizes of all indices, whatever the order of the products; nothing with an ellipsis."""
    equation = _argument(whole, "equation")
    if "..." in equation:
        return 0
    subscripts = equation.replace(" ", "").split("->")[0].split(",")
    shapes = (spec.shape for spec in _argument(whole, "tensors"))
    return prod(
        {i: n for s, shape in zip(subscripts, shapes, strict=False) for i, n in zip(s, shape, strict=False)}.values()
    )


def _grid_sampler(whole: CompositeCall) -> int:
    return _elements(whole) * _GRID[_argument(whole, "interpolation_mode")]


#: The family of each operator that has a handler, and what that counts of one call.
HANDLERS: dict[str, tuple[str, Callable[[CompositeCall], int]]] = {
    **{f"aten.{n}": ("TP-COMPLEX", _products) for n in ("addmm", "addmv", "bmm", "baddbmm", "linear", "matmul")},
    "aten.scaled_dot_product_attention": ("TP-COMPLEX", _products),
    **{f"aten.conv{n}": ("TP-COMPLEX", _products) for n in ("1d", "2d", "3d", "olution")},
    **{f"aten.conv_transpose{n}d": ("TP-CONVT", _transposed) for n in (1, 2, 3)},
    "aten.lstm": ("TP-LSTM", _lstm),
    "aten.einsum": ("TP-EINSUM", _einsum),
    **dict.fromkeys(("aten.mul", "aten.mul_"), ("TP-MUL", _elements)),
    **{f"aten.{n}_norm": ("TP-NORM", _affine) for n in ("batch", "instance", "layer", "group")},
    **{f"aten.{a}avg_pool{n}d": ("TP-POOL", _elements) for a in ("", "adaptive_") for n in (1, 2, 3)},
    "aten.mean": ("TP-POOL", _elements),
    "aten.leaky_relu": ("TP-LEAKY", _elements),
    "aten.upsample_bilinear2d": ("TP-RESAMPLE", lambda whole: 4 * _elements(whole)),
    "aten.grid_sampler": ("TP-RESAMPLE", _grid_sampler),
}  # fmt: skip


def counted(whole: CompositeCall) -> int:
    """Say what torchprofile counts of one call."""
    known = HANDLERS.get(whole.record.packet)
    left_out = whole.function or not whole.used or _is_same(whole)
    return 0 if known is None or left_out else known[1](whole)


def _is_same(whole: CompositeCall) -> bool:
    """Say whether a convolution is one with its padding by name, which the tracer knows as another operator."""
    return whole.record.packet.startswith("aten.conv") and whole.record.operator.endswith(".padding")


def _family(whole: CompositeCall) -> str:
    """Say under which code an operator departs, if it does."""
    if not whole.used:
        return "TP-UNUSED"
    if whole.function:
        return "TP-FUNCTION"
    if _is_same(whole):
        return "TP-SAME"
    return HANDLERS.get(whole.record.packet, ("TP-UNSUPPORTED",))[0]


def _departs(code: str, kind: CauseKind, why: str, where: str = "torchprofile/handlers.py: HANDLER_MAP") -> None:
    """Register a family of operators as a departure: what we count of them, less what torchprofile does."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for whole in (whole for facts in forward_pass.facts for whole in facts.composite_calls):
            if _family(whole) == code:
                amount = _macs(whole) - counted(whole)
                yield Contribution(whole.record.module, whole.record.packet, whole.record.calls * amount)

    PEER.deviates(code, kind, why, where=where, seen=_SEEN)(rule)


_departs("TP-MUL", CauseKind.UNIT, "adds 1 for each element of an element-wise product, though none of a sum")
_departs("TP-NORM", CauseKind.CONVENTION, "adds 1 for each element of a norm that has weights")
_departs("TP-POOL", CauseKind.CONVENTION, "adds 1 for each result of an average pool or mean")
_departs("TP-LEAKY", CauseKind.CONVENTION, "adds 1 for each element of a leaky ReLU")
_departs("TP-RESAMPLE", CauseKind.CONVENTION, "adds 4 for each result of bilinear resampling, 16 of a bicubic grid")
_departs("TP-SAME", CauseKind.PADDING, "has no handler for a convolution whose padding has a name, and counts 0")
_departs("TP-UNSUPPORTED", CauseKind.UNSUPPORTED, "has no handler for these operators (mm, GRU, RNN …), and counts 0")
_departs("TP-COMPLEX", CauseKind.DTYPE, "counts a product of complex numbers as one")
_departs(
    "TP-CONVT",
    CauseKind.GRID,
    "counts a transposed convolution on the grid of its output, and leaves its groups aside",
    "torchprofile/handlers.py: _convolution",
)
_departs(
    "TP-LSTM",
    CauseKind.RECURRENT,
    "takes the projected width of an LSTM for its hidden size",
    "torchprofile/handlers.py: _lstm",
)
_departs(
    "TP-EINSUM",
    CauseKind.FORMULA,
    "multiplies the sizes of all indices of an einsum, and counts 0 where it has an ellipsis",
    "torchprofile/handlers.py: _einsum",
)
_departs(
    "TP-FUNCTION",
    CauseKind.UNSUPPORTED,
    "sees a custom autograd function as one operator without a handler",
    "torch/csrc/autograd/python_function.cpp",
)
_departs(
    "TP-UNUSED",
    CauseKind.UNUSED,
    "does not see what the output does not depend on: the tracer drops it",
    "torch/csrc/jit/python/python_tracer.cpp: createGraphByTracing",
)
