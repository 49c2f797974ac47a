"""Arrays of scalars that count what is done with them, and the costs that the profiler gives for a call.

A test writes the definition of an operator on such arrays; its value must be torch's, its tally the formula's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import profiler
from profiler.tally.tally import cost_record
from profiler.values.records import OpRecord, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from profiler.tally import Entry


class Tally:
    """What was computed so far."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.flops = 0
        self.transcendentals = 0

    def array(self, tensor: torch.Tensor) -> np.ndarray[Any, Any]:
        """Wrap every element; what is computed with them is counted here."""
        wrapped = [Scalar(value, self) for value in tensor.detach().double().flatten().tolist()]
        result = np.empty(len(wrapped), dtype=object)
        result[:] = wrapped
        return result.reshape(tuple(tensor.shape))

    def zeros(self, *shape: int) -> np.ndarray[Any, Any]:
        """Make an array of zeros to accumulate into."""
        return self.array(torch.zeros(shape))

    @property
    def counts(self) -> tuple[int, int]:
        """FLOPs and transcendentals."""
        return self.flops, self.transcendentals


class Scalar:
    """A number; plain numbers beside it are constants."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        """Keep the value and where to count."""
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
    """Unwrap an array."""
    return torch.tensor(np.vectorize(_value, otypes=[float])(array), dtype=torch.float64)


def agree(ours: Iterable[Any], theirs: Iterable[torch.Tensor | None]) -> None:
    """Assert that what was computed here is what torch computed; None of ours is not looked at."""
    for mine, other in zip(ours, theirs, strict=True):
        if mine is not None:
            assert other is not None
            torch.testing.assert_close(values(mine).flatten(), other.double().flatten(), rtol=1e-4, atol=1e-5)


def backward(y: torch.Tensor) -> None:
    """Run a backward pass from any gradient."""
    y.backward(torch.empty_like(y))


def moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Give the mean over *axes*, the deviations from it, and the variance."""
    n = math.prod(x.shape[a] for a in axes)
    mean = x.sum(axis=axes, keepdims=True) / n
    d = x - mean
    return mean, d, (d * d).sum(axis=axes, keepdims=True) / n


def affine(y: Any, weight: Any, bias: Any) -> Any:
    """Weight and shift, where there is something to do it with."""
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def entry(operator: str | tuple[str, ...], run: Callable[[], Any]) -> Entry:
    """Give the one call of *operator* (``aten.mm``), by any of its names, in what *run* does."""
    with profiler.profile() as p:
        run()
    names = (operator,) if isinstance(operator, str) else operator
    found = [e for e in p.entries if e.record.packet in names]
    assert len(found) == 1, f"{operator} ran {len(found)} times, beside {sorted({e.record.packet for e in p.entries})}"
    assert found[0].record.calls == 1
    assert found[0].kind == "formula"
    return found[0]


def counts(found: Entry) -> tuple[int, int]:
    """FLOPs (without MACs) and transcendentals of an entry."""
    return found.other_flops, found.transcendentals


def numbers(found: Entry) -> tuple[int, ...]:
    """All numbers of an entry."""
    return found.macs, found.other_flops, found.transcendentals, found.bytes_read, found.bytes_written


def priced(operator: str, results: tuple[TensorSpec | None, ...], **arguments: Any) -> Entry:
    """Price a call that this machine cannot run."""
    return cost_record(OpRecord(operator, "", "forward", tuple(arguments.items()), results, 1))


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    """Describe a dense tensor."""
    return TensorSpec(shape, dtype, math.prod(shape))
