"""The handlers of fvcore, reimplemented: what it counts for one operator that Python called.

Source: fvcore/nn/flop_count.py (``_DEFAULT_SUPPORTED_OPS``) and fvcore/nn/jit_handles.py.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.peers.emulation.jit_trace import argument, macs_as_real, reaches_handler
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.findings import Number
    from profiler.values.records import OpRecord


def claimed_macs(call: CompositeCall) -> Number:
    """Return what fvcore counts for one call; 0 without a handler."""
    handler = HANDLERS.get(call.record.packet)
    return handler(call) if handler is not None and reaches_handler(call) else 0


def _matmul(call: CompositeCall) -> int:
    """Multiply the elements of the first operand by the columns of the second, regardless of broadcasting."""
    return prod(_shape(call.record, "self")) * _shape(call.record, "other")[-1]


def _einsum(call: CompositeCall) -> Number:
    """Halve NumPy's FLOP estimate, which it prints with four digits; two equations have a formula of their own."""
    import numpy as np  # noqa: PLC0415 - needed only if there is an einsum

    equation = _in_canonical_letters(argument(call.record, "equation").replace(" ", ""))
    shapes = [spec.shape for spec in tensors(argument(call.record, "tensors"))]
    if equation == "abc,abd->acd":
        return prod(shapes[0]) * shapes[1][-1]
    if equation == "abc,adc->adb":
        return prod(shapes[0]) * shapes[1][1]
    operands = [np.broadcast_to(0.0, shape) for shape in shapes]
    report = str(np.einsum_path(equation, *operands, optimize="optimal")[1])
    line = next(line for line in report.splitlines() if "optimized flop" in line.lower())
    return float(line.rpartition(":")[2]) // 2


def _in_canonical_letters(equation: str) -> str:
    """Rename the indices of an einsum equation to a, b, c, … in order of first occurrence."""
    letters = dict.fromkeys(filter(str.isalpha, equation))
    return equation.translate({ord(letter): ord("a") + i for i, letter in enumerate(letters)})


def _norm(call: CompositeCall) -> int:
    """Count 5 per element, or 4 without a weight."""
    return prod(_shape(call.record, "input")) * (4 if argument(call.record, "weight") is None else 5)


def _batch_norm(call: CompositeCall) -> int:
    """Count 2 per element, or 1 without a weight, if running statistics are used; otherwise count as any norm."""
    if argument(call.record, "training"):
        return _norm(call)
    return prod(_shape(call.record, "input")) * (1 if argument(call.record, "weight") is None else 2)


def _input_elements(call: CompositeCall) -> int:
    return prod(_shape(call.record, "self"))


def _output_elements(call: CompositeCall) -> int:
    result = call.record.results[0]
    assert isinstance(result, TensorSpec)  # noqa: S101 - each of these operators returns one
    return prod(result.shape)


def _shape(record: OpRecord, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = argument(record, name).shape
    return shape


#: What fvcore counts for one call, by operator.
HANDLERS: dict[str, Callable[[CompositeCall], Number]] = {
    **dict.fromkeys(("aten.addmm", "aten.bmm", "aten.mm", "aten.linear"), macs_as_real),
    **{f"aten.conv{name}": macs_as_real for name in ("1d", "2d", "3d", "olution")},
    **{f"aten.conv_transpose{n}d": macs_as_real for n in (1, 2, 3)},
    "aten.matmul": _matmul,
    "aten.einsum": _einsum,
    "aten.batch_norm": _batch_norm,
    **dict.fromkeys(("aten.group_norm", "aten.layer_norm", "aten.instance_norm"), _norm),
    "aten.adaptive_avg_pool2d": _input_elements,
    "aten.upsample_nearest2d": _output_elements,
    "aten.upsample_bilinear2d": lambda call: 4 * _output_elements(call),
    "aten.grid_sampler": lambda call: 4 * _output_elements(call),
}  # fmt: skip
