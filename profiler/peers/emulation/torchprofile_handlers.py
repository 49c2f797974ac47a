"""The handlers of torchprofile, reimplemented: what it counts for one operator that Python called.

Source: torchprofile/handlers.py.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.peers.emulation.jit_trace import argument, macs_as_real, reaches_handler
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import Shape

#: Operations per output element of ``grid_sample``, by interpolation mode: bilinear, nearest, bicubic.
_GRID = {0: 4, 1: 0, 2: 16}


def claimed_macs(call: CompositeCall) -> int:
    """Return what torchprofile counts for one call; 0 without a handler."""
    entry = HANDLERS.get(call.record.packet)
    return entry[1](call) if entry is not None and reaches_handler(call) else 0


def _result(call: CompositeCall, index: int = 0) -> Shape:
    result = call.record.results[index]
    assert isinstance(result, TensorSpec)  # noqa: S101 - each of these operators returns one
    return result.shape


def _elements(call: CompositeCall) -> int:
    """Count one per element of the result."""
    return prod(_result(call))


def _affine_norm(call: CompositeCall) -> int:
    """Count one per element of a norm with a weight, otherwise 0."""
    return _elements(call) * (argument(call.record, "weight") is not None)


def _transposed_convolution(call: CompositeCall) -> int:
    """Detect a transposed convolution by its channels, and multiply its output elements by those of one filter."""
    out, weight = _result(call), argument(call.record, "weight").shape
    if len(out) == len(weight) - 1:  # an unbatched input: the tracer sees the batch of 1 that torch adds
        out = (1, *out)
    return int(prod(out) * (weight[1] if out[1] == weight[0] else weight[0]) * prod(weight[2:]))


def _lstm(call: CompositeCall) -> int:
    """Use the projected width of the state as the hidden size."""
    out, state = _result(call), _result(call, 1)
    hidden, inputs = state[-1], argument(call.record, "input").shape[-1]
    directions = out[-1] // hidden
    layers = state[0] // directions
    widths = (inputs if layer == 0 else hidden * directions for layer in range(layers))
    return out[0] * out[1] * directions * sum(4 * hidden * (width + hidden) for width in widths)


def _einsum(call: CompositeCall) -> int:
    """Multiply the sizes of all indices, regardless of the contraction order; 0 if there is an ellipsis."""
    equation = argument(call.record, "equation")
    if "..." in equation:
        return 0
    subscripts = equation.replace(" ", "").split("->")[0].split(",")
    shapes = (spec.shape for spec in argument(call.record, "tensors"))
    return prod(
        {i: n for s, shape in zip(subscripts, shapes, strict=False) for i, n in zip(s, shape, strict=False)}.values()
    )


def _grid_sampler(call: CompositeCall) -> int:
    return _elements(call) * _GRID[argument(call.record, "interpolation_mode")]


#: For each operator with a handler: the deviation that it belongs to, and what the handler counts for one call.
HANDLERS: dict[str, tuple[str, Callable[[CompositeCall], int]]] = {
    **{f"aten.{n}": ("TP-COMPLEX", macs_as_real) for n in ("addmm", "addmv", "bmm", "baddbmm", "linear", "matmul")},
    "aten.scaled_dot_product_attention": ("TP-COMPLEX", macs_as_real),
    **{f"aten.conv{n}": ("TP-COMPLEX", macs_as_real) for n in ("1d", "2d", "3d", "olution")},
    **{f"aten.conv_transpose{n}d": ("TP-CONVT", _transposed_convolution) for n in (1, 2, 3)},
    "aten.lstm": ("TP-LSTM", _lstm),
    "aten.einsum": ("TP-EINSUM", _einsum),
    **dict.fromkeys(("aten.mul", "aten.mul_"), ("TP-MUL", _elements)),
    **{f"aten.{n}_norm": ("TP-NORM", _affine_norm) for n in ("batch", "instance", "layer", "group")},
    **{f"aten.{a}avg_pool{n}d": ("TP-POOL", _elements) for a in ("", "adaptive_") for n in (1, 2, 3)},
    "aten.mean": ("TP-POOL", _elements),
    "aten.leaky_relu": ("TP-LEAKY", _elements),
    "aten.upsample_bilinear2d": ("TP-RESAMPLE", lambda call: 4 * _elements(call)),
    "aten.grid_sampler": ("TP-RESAMPLE", _grid_sampler),
}  # fmt: skip
