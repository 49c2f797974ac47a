"""NumPy arrays of scalars that count the operations on them, and the profiler's cost of one operator call.

A test computes an operator from its definition on such arrays. The values must equal torch's, and the counted
operations the formula's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from formulas.operation_tally import OperationTally

import profiler
from profiler.formulas import RuleKind
from profiler.tally.tally import cost_record
from profiler.values.records import OpRecord, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from profiler.tally import Entry


class Tally(OperationTally):
    """A counter, and the arrays whose operations it counts."""

    def array(self, tensor: torch.Tensor) -> np.ndarray[Any, Any]:
        """Return *tensor* as an array of scalars whose operations are counted here."""
        wrapped = [Scalar(value, self) for value in tensor.detach().double().flatten().tolist()]
        result = np.empty(len(wrapped), dtype=object)
        result[:] = wrapped
        return result.reshape(tuple(tensor.shape))

    def zeros(self, *shape: int) -> np.ndarray[Any, Any]:
        """Return an array of zeros to accumulate into."""
        return self.array(torch.zeros(shape))


class Scalar:
    """A number that counts the operations on it; plain numbers are constants."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        self.value, self.tally = value, tally

    def _flop(self, value: float) -> Scalar:
        self.tally.flops += 1
        return Scalar(value, self.tally)

    def _transcendental(self, value: float) -> Scalar:
        self.tally.transcendentals += 1
        return Scalar(value, self.tally)

    def __add__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(self.value + _value(other))

    def __sub__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(self.value - _value(other))

    def __rsub__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(_value(other) - self.value)

    def __mul__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(self.value * _value(other))

    def __truediv__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(self.value / _value(other))

    def __rtruediv__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(_value(other) / self.value)

    def __mod__(self, other: Any) -> Scalar:
        return NotImplemented if isinstance(other, np.ndarray) else self._flop(math.fmod(self.value, _value(other)))

    def __neg__(self) -> Scalar:
        return self._flop(-self.value)

    def __abs__(self) -> Scalar:
        return self._flop(abs(self.value))

    def _compared(self, outcome: bool) -> bool:
        self.tally.flops += 1
        return outcome

    def __lt__(self, other: Any) -> bool:
        return self._compared(self.value < _value(other))

    def __le__(self, other: Any) -> bool:
        return self._compared(self.value <= _value(other))

    def __gt__(self, other: Any) -> bool:
        return self._compared(self.value > _value(other))

    def __ge__(self, other: Any) -> bool:
        return self._compared(self.value >= _value(other))

    def __eq__(self, other: object) -> bool:
        return self._compared(self.value == _value(other))

    def __ne__(self, other: object) -> bool:
        return self._compared(self.value != _value(other))

    __hash__ = None  # type: ignore[assignment]
    __radd__ = __add__
    __rmul__ = __mul__

    def maximum(self, other: Any) -> Scalar:
        return self._flop(max(self.value, _value(other)))

    def minimum(self, other: Any) -> Scalar:
        return self._flop(min(self.value, _value(other)))

    def floor(self) -> Scalar:
        return self._flop(math.floor(self.value))

    def round(self) -> Scalar:
        return self._flop(round(self.value))

    def sign(self) -> Scalar:
        return self._flop((self.value > 0) - (self.value < 0))

    def sqrt(self) -> Scalar:
        return self._transcendental(math.sqrt(self.value))

    def rsqrt(self) -> Scalar:
        return self._transcendental(1 / math.sqrt(self.value))

    def exp(self) -> Scalar:
        return self._transcendental(math.exp(self.value))

    def log(self) -> Scalar:
        return self._transcendental(math.log(self.value) if self.value > 0 else -math.inf)

    def log1p(self) -> Scalar:
        return self._transcendental(math.log1p(self.value))

    def cos(self) -> Scalar:
        return self._transcendental(math.cos(self.value))

    def i0(self) -> Scalar:
        return self._transcendental(float(np.i0(self.value)))

    def __pow__(self, exponent: Any) -> Scalar:
        return self._transcendental(self.value ** _value(exponent))


def _value(number: Any) -> Any:
    return number.value if isinstance(number, Scalar) else number


maximum = np.frompyfunc(lambda a, b: a.maximum(b), 2, 1)
minimum = np.frompyfunc(lambda a, b: a.minimum(b), 2, 1)
rsqrt, floor, sign, log1p, i0 = (
    np.frompyfunc(lambda x, name=name: getattr(x, name)(), 1, 1) for name in ("rsqrt", "floor", "sign", "log1p", "i0")
)


def values(array: Any) -> torch.Tensor:
    """Return the values of an array of scalars."""
    return torch.tensor(np.vectorize(_value, otypes=[float])(array), dtype=torch.float64)


def assert_agree(ours: Iterable[Any], theirs: Iterable[torch.Tensor | None]) -> None:
    """Assert that our arrays have the values of torch's tensors; arrays that are None are skipped."""
    for array, tensor in zip(ours, theirs, strict=True):
        if array is not None:
            assert tensor is not None
            torch.testing.assert_close(values(array).flatten(), tensor.double().flatten(), rtol=1e-4, atol=1e-5)


def backward(y: torch.Tensor) -> None:
    """Run the backward pass of *y* with an uninitialised gradient."""
    y.backward(torch.empty_like(y))


def moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return the mean over *axes*, the deviations from it, and the variance."""
    n = math.prod(x.shape[a] for a in axes)
    mean = x.sum(axis=axes, keepdims=True) / n
    d = x - mean
    return mean, d, (d * d).sum(axis=axes, keepdims=True) / n


def affine(y: Any, weight: Any, bias: Any) -> Any:
    """Return ``y * weight + bias``, skipping what is None."""
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def entry(operator: str | tuple[str, ...], run: Callable[[], Any]) -> Entry:
    """Run *run* and return the entry of its single call of *operator* (``aten.mm``, or several alternative names)."""
    with profiler.profile() as p:
        run()
    names = (operator,) if isinstance(operator, str) else operator
    entries = [e for e in p.entries if e.record.packet in names]
    operators = sorted({e.record.packet for e in p.entries})
    assert len(entries) == 1, f"expected one entry of {operator}, got {len(entries)}; the operators are {operators}"
    assert entries[0].record.calls == 1
    assert entries[0].kind == RuleKind.FORMULA
    return entries[0]


def counts(cost: Entry) -> tuple[int, int]:
    """Return the FLOPs outside the MACs and the transcendentals of an entry."""
    return cost.other_flops, cost.transcendentals


def numbers(cost: Entry) -> tuple[int, ...]:
    """Return MACs, other FLOPs, transcendentals, and bytes read and written of an entry."""
    return cost.macs, cost.other_flops, cost.transcendentals, cost.bytes_read, cost.bytes_written


def entry_of(operator: str, results: tuple[TensorSpec | None, ...], **arguments: Any) -> Entry:
    """Return the entry of a call that is described by its specs and not run, such as one of a GPU kernel."""
    return cost_record(OpRecord(operator, "", "forward", tuple(arguments.items()), results, 1))


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    """Return the spec of a dense tensor."""
    return TensorSpec(shape, dtype, math.prod(shape))
