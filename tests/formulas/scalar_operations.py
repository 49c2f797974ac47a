"""A number that counts what is done with it: the oracle of the formulas of arithmetic.

A test writes an operator from its mathematical definition and evaluates it on such numbers. The value must be torch's,
and the tally the formula's. Nothing here knows of the formulas.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from inspect import signature
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

import profiler
from profiler.tally import Entry
from profiler.tally.tally import cost_record
from profiler.values.records import OpRecord, TensorSpec


class Tally:
    """What was computed so far."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.flops = 0
        self.transcendentals = 0

    @property
    def counts(self) -> tuple[int, int]:
        """FLOPs and transcendentals."""
        return self.flops, self.transcendentals

    def numbers(self, tensor: torch.Tensor) -> list[Any]:
        """Wrap the elements, nested as the tensor is."""
        return _wrapped(tensor.detach().double().tolist(), self)


class Number:
    """A value, and the tally of what made it; plain numbers beside it are constants."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        """Keep the value, and where to count."""
        self.value, self.tally = value, tally

    def __repr__(self) -> str:
        """Show the value."""
        return f"Number({self.value})"

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        """Test for zero, for nothing."""
        return bool(self.value)


def _wrapped(value: Any, tally: Tally) -> Any:
    return [_wrapped(v, tally) for v in value] if isinstance(value, list) else Number(value, tally)


def _value(number: Any) -> Any:
    return number.value if isinstance(number, Number) else number


def _counting(function: Callable[..., Any], flops: int, transcendentals: int) -> Callable[..., Any]:
    """Make a function of plain numbers count when it is given a counting one; among constants it is free."""

    def counted(*numbers: Any) -> Any:
        result = function(*map(_value, numbers))
        tally = next((number.tally for number in numbers if isinstance(number, Number)), None)
        if tally is None:
            return result
        tally.flops += flops
        tally.transcendentals += transcendentals
        return result if isinstance(result, bool) else Number(result, tally)

    return counted


def _flop(function: Callable[..., Any]) -> Callable[..., Any]:
    return _counting(function, 1, 0)


def _transcendental(function: Callable[..., Any]) -> Callable[..., Any]:
    return _counting(function, 0, 1)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "neg", "abs", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Number, f"__{_name}__", _flop(getattr(operator, _name)))
for _name, _of in {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv}.items():
    setattr(Number, f"__r{_name}__", _flop(lambda a, b, of=_of: of(b, a)))
Number.__pow__ = _transcendental(operator.pow)  # type: ignore[attr-defined]

absolute, floor, rounded = _flop(abs), _flop(math.floor), _flop(round)
maximum, minimum, logical_and = _flop(builtins.max), _flop(builtins.min), _flop(operator.and_)
exp, log, log2, log1p = map(_transcendental, (math.exp, math.log, math.log2, math.log1p))
sqrt, sin, cos, tanh, erf = map(_transcendental, (math.sqrt, math.sin, math.cos, math.tanh, math.erf))
exp2, lgamma = _transcendental(lambda x: 2.0**x), _transcendental(math.lgamma)
i0 = _transcendental(lambda x: torch.tensor(x, dtype=torch.float64).i0().item())


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Choose, for nothing; both sides were computed."""
    return yes if condition else no


def total(numbers: Iterable[Any], join: Callable[[Any, Any], Any] = operator.add) -> Any:
    """Join numbers pairwise: one operation fewer than there are numbers."""
    return reduce(join, numbers)


def same(numbers: Any, tensor: torch.Tensor) -> bool:
    """Say whether nested counting numbers have a tensor's values."""
    return torch.allclose(torch.tensor(_unwrapped(numbers), dtype=torch.float64), tensor.double(), equal_nan=True)


def _unwrapped(numbers: Any) -> Any:
    return [_unwrapped(n) for n in numbers] if isinstance(numbers, (list, tuple)) else _value(numbers)


def entry(packet: str, run: Callable[[], Any]) -> Entry:
    """Give the one call of an operator (``aten.sum``) in what *run* does."""
    with profiler.profile() as p:
        run()
    found = [e for e in p.entries if e.record.packet == packet]
    assert len(found) == 1, f"{packet} ran {len(found)} times, beside {sorted({e.record.packet for e in p.entries})}"
    assert found[0].kind != "uncounted"
    return found[0]


def counts(found: Entry) -> tuple[int, int]:
    """FLOPs and transcendentals of an entry; there is no MAC in it."""
    assert found.macs == 0
    return found.other_flops, found.transcendentals


class Elementwise(NamedTuple):
    """An operator of which each element of the result is defined by the elements at its place."""

    #: Runs the operator on tensors, as many as the definition has parameters in small letters.
    run: Callable[..., Any]
    #: From numbers to a number, or to one for each result; parameters in capitals are the operator's arguments.
    define: Callable[..., Any]
    arguments: Mapping[str, Any] = MappingProxyType({})
    #: Where the elements lie.
    low: float = -4.0
    high: float = 4.0
    #: Whether the operator comes whole to a dispatch mode, on a device that every machine has.
    seen: bool = True


def evaluate(name: str, case: Elementwise, formula: Callable[..., Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Run an operator, and evaluate *formula* on the same elements; the values must agree.

    Give the profiler's counts for the operator, and what the formula tallied.
    """
    names = [name for name in signature(case.define).parameters if not name.isupper()]
    tensors = [torch.empty(11, dtype=torch.float64).uniform_(case.low, case.high) for _ in names]
    results: list[torch.Tensor] = []
    found = _priced(name, case, lambda: results.extend(_listed(case.run(*tensors))))
    tally = Tally()
    rows = zip(*map(tally.numbers, tensors), strict=True)
    outcomes = [_listed(formula(**dict(zip(names, row, strict=True)), **case.arguments)) for row in rows]
    for of_row, result in zip(zip(*outcomes, strict=True), results, strict=True):
        assert same(of_row, result), f"{name}: {_unwrapped(of_row)} is not {result.tolist()}"
    return counts(found), tally.counts


def _priced(name: str, case: Elementwise, run: Callable[[], Any]) -> Entry:
    """Profile the call; or else price what would have been recorded of it."""
    if case.seen:
        return entry(f"aten.{name}", run)
    run()
    arguments = tuple((key.lower(), value) for key, value in case.arguments.items())
    return cost_record(
        OpRecord(f"aten.{name}.default", "", "forward", arguments, (TensorSpec((11,), "float64", 11),), 1)
    )


def _listed(outcome: Any) -> list[Any]:
    return list(outcome) if isinstance(outcome, (tuple, list)) else [outcome]


#: What the notation of an expression means, in counting numbers.
NOTATION = {
    "abs": absolute, "cos": cos, "erf": erf, "exp": exp, "exp2": exp2, "floor": floor, "i0": i0, "log": log,
    "log1p": log1p, "log2": log2, "max": maximum, "min": minimum, "round": rounded, "sin": sin, "sqrt": sqrt,
    "tanh": tanh, "where": where, "PI": math.pi, "INF": math.inf,
}  # fmt: skip


def written(expression: str, results: int = 1) -> Callable[..., Any]:
    """Read an expression as Python: a function of its names, which gives the last of its steps."""
    code = compile(f"({expression})", "expression", "eval")

    def formula(**names: Any) -> Any:
        steps = _listed(eval(code, NOTATION | names))  # noqa: S307 - the package's own table
        return steps[-results:]

    return formula
