"""What fvcore counts of one operator that Python called: its handlers, told again from its source.

Source: fvcore/nn/flop_count.py (``_DEFAULT_SUPPORTED_OPS``) and fvcore/nn/jit_handles.py.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from profiler.tally.tally import cost_record
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.findings import Number
    from profiler.values.records import OpRecord


def counted(whole: CompositeCall) -> Number:
    """Say what fvcore counts of one call."""
    known = HANDLERS.get(whole.record.packet)
    left_out = whole.function or not whole.used or is_same(whole.record)
    return 0 if known is None or left_out else known(whole)


def is_same(record: OpRecord) -> bool:
    """Say whether a convolution is one with its padding by name, which the tracer knows as another operator."""
    return record.packet.startswith("aten.conv") and record.operator.endswith(".padding")


def our_macs(whole: CompositeCall) -> int:
    """Sum our MACs of one call."""
    return sum(part.calls * cost_record(part).macs for part in whole.parts)


def _products(whole: CompositeCall) -> int:
    """Sum the products of one call, a complex one as one."""
    entries = [cost_record(part) for part in whole.parts]
    return sum(e.record.calls * (e.macs // 4 if e.dtype.startswith("complex") else e.macs) for e in entries)


def _matmul(whole: CompositeCall) -> int:
    """Multiply the first operand's elements with the second's columns, whatever is broadcast."""
    return prod(_shape(whole.record, "self")) * _shape(whole.record, "other")[-1]


def _einsum(whole: CompositeCall) -> Number:
    """Halve numpy's estimate, which is printed with four digits; but for two equations that are known by heart."""
    import numpy as np  # noqa: PLC0415 - only where there is an einsum

    equation = _alphabetical(_argument(whole.record, "equation").replace(" ", ""))
    shapes = [spec.shape for spec in tensors(_argument(whole.record, "tensors"))]
    if equation == "abc,abd->acd":
        return prod(shapes[0]) * shapes[1][-1]
    if equation == "abc,adc->adb":
        return prod(shapes[0]) * shapes[1][1]
    operands = [np.broadcast_to(0.0, shape) for shape in shapes]
    report = str(np.einsum_path(equation, *operands, optimize="optimal")[1])
    line = next(line for line in report.splitlines() if "optimized flop" in line.lower())
    return float(line.rpartition(":")[2]) // 2


def _alphabetical(equation: str) -> str:
    """Name the dimensions a, b, c … in the order in which they come."""
    letters = dict.fromkeys(filter(str.isalpha, equation))
    return equation.translate({ord(letter): ord("a") + i for i, letter in enumerate(letters)})


def _norm(whole: CompositeCall) -> int:
    """Take 5 for each element, or 4 where nothing scales it."""
    return prod(_shape(whole.record, "input")) * (4 if _argument(whole.record, "weight") is None else 5)


def _batch_norm(whole: CompositeCall) -> int:
    """Take 2 or 1 for each element with statistics that are known."""
    if _argument(whole.record, "training"):
        return _norm(whole)
    return prod(_shape(whole.record, "input")) * (1 if _argument(whole.record, "weight") is None else 2)


def _elements_in(whole: CompositeCall) -> int:
    """Take 1 for each element of the input."""
    return prod(_shape(whole.record, "self"))


def _elements_out(whole: CompositeCall) -> int:
    """Take 1 for each element of the output."""
    result = whole.record.results[0]
    assert isinstance(result, TensorSpec)  # noqa: S101 - each such operator has one
    return prod(result.shape)


def _argument(record: OpRecord, name: str) -> Any:
    return dict(record.arguments)[name]


def _shape(record: OpRecord, name: str) -> tuple[int, ...]:
    shape: tuple[int, ...] = _argument(record, name).shape
    return shape


#: What fvcore counts of one call, by operator.
HANDLERS: dict[str, Callable[[CompositeCall], Number]] = {
    **dict.fromkeys(("aten.addmm", "aten.bmm", "aten.mm", "aten.linear"), _products),
    **{f"aten.conv{name}": _products for name in ("1d", "2d", "3d", "olution")},
    **{f"aten.conv_transpose{n}d": _products for n in (1, 2, 3)},
    "aten.matmul": _matmul,
    "aten.einsum": _einsum,
    "aten.batch_norm": _batch_norm,
    **dict.fromkeys(("aten.group_norm", "aten.layer_norm", "aten.instance_norm"), _norm),
    "aten.adaptive_avg_pool2d": _elements_in,
    "aten.upsample_nearest2d": _elements_out,
    "aten.upsample_bilinear2d": lambda whole: 4 * _elements_out(whole),
    "aten.grid_sampler": lambda whole: 4 * _elements_out(whole),
}  # fmt: skip
