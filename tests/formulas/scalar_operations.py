"""A number that counts the operations on it, to check formulas of elementwise arithmetic and reductions.

A test evaluates the mathematical definition of an operator on such numbers. The values must equal torch's, and the
counted operations the formula's. Nothing here uses the formulas.
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
from formulas.operation_tally import OperationTally

import profiler
from profiler.tally import Entry
from profiler.tally.tally import cost_record
from profiler.values.records import OpRecord, TensorSpec


class Tally(OperationTally):
    """A counter, and the numbers whose operations it counts."""

    def numbers(self, tensor: torch.Tensor) -> list[Any]:
        """Return the elements as counting numbers, in lists nested like the tensor."""
        return _wrap(tensor.detach().double().tolist(), self)


class Number:
    """A number that counts the operations on it; plain numbers are constants."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        self.value, self.tally = value, tally

    def __repr__(self) -> str:
        return f"Number({self.value})"

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        """Return whether the number is nonzero; the test is not counted."""
        return bool(self.value)


def _wrap(value: Any, tally: Tally) -> Any:
    return [_wrap(v, tally) for v in value] if isinstance(value, list) else Number(value, tally)


def _value(number: Any) -> Any:
    return number.value if isinstance(number, Number) else number


def _counting(function: Callable[..., Any], flops: int, transcendentals: int) -> Callable[..., Any]:
    """Return *function* extended to counting numbers; a call with constants only is free."""

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
    """Return *yes* or *no*; the selection is free, since both sides are computed."""
    return yes if condition else no


def total(numbers: Iterable[Any], join: Callable[[Any, Any], Any] = operator.add) -> Any:
    """Reduce n numbers with *join*, in n − 1 operations."""
    return reduce(join, numbers)


def matches(numbers: Any, tensor: torch.Tensor) -> bool:
    """Return whether nested counting numbers have the values of *tensor*."""
    return torch.allclose(torch.tensor(_unwrap(numbers), dtype=torch.float64), tensor.double(), equal_nan=True)


def _unwrap(numbers: Any) -> Any:
    return [_unwrap(n) for n in numbers] if isinstance(numbers, (list, tuple)) else _value(numbers)


def entry(packet: str, run: Callable[[], Any]) -> Entry:
    """Run *run* and return the entry of its single call of an operator (``aten.sum``)."""
    with profiler.profile() as p:
        run()
    entries = [e for e in p.entries if e.record.packet == packet]
    operators = sorted({e.record.packet for e in p.entries})
    assert len(entries) == 1, f"expected one entry of {packet}, got {len(entries)}; the operators are {operators}"
    assert entries[0].kind != "uncounted"
    return entries[0]


def counts(cost: Entry) -> tuple[int, int]:
    """Return the FLOPs and transcendentals of an entry without MACs."""
    assert cost.macs == 0
    return cost.other_flops, cost.transcendentals


def count_operations(run: Callable[[], Any]) -> tuple[int, int]:
    """Run *run* and return the FLOPs outside the MACs and the transcendentals of all its operators."""
    with profiler.profile() as p:
        run()
    assert not p.uncounted
    return p.totals.other_flops, p.totals.transcendentals


def count_flops(run: Callable[[], Any]) -> int:
    """Run *run*, which must compute no transcendentals, and return its FLOPs outside the MACs."""
    flops, transcendentals = count_operations(run)
    assert transcendentals == 0
    return flops


class Elementwise(NamedTuple):
    """A test case: an operator whose result elements depend only on the operands' elements at the same index."""

    #: Runs the operator on one tensor for each lower-case parameter of *define*.
    run: Callable[..., Any]
    #: Maps numbers to one number, or to one per result; upper-case parameters are the operator's arguments.
    define: Callable[..., Any]
    arguments: Mapping[str, Any] = MappingProxyType({})
    #: Bounds of the elements.
    low: float = -4.0
    high: float = 4.0
    #: Whether a dispatch mode sees the operator on the CPU; False if it decomposes first or needs another device.
    traced: bool = True


def evaluate(name: str, case: Elementwise, formula: Callable[..., Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Run an operator and evaluate *formula* on the same elements; assert that the values agree.

    Returns:
        The profiler's counts of the operator, and the operations counted in *formula*.
    """
    names = [name for name in signature(case.define).parameters if not name.isupper()]
    tensors = [torch.empty(11, dtype=torch.float64).uniform_(case.low, case.high) for _ in names]
    results: list[torch.Tensor] = []
    cost = _entry(name, case, lambda: results.extend(_as_list(case.run(*tensors))))
    tally = Tally()
    rows = zip(*map(tally.numbers, tensors), strict=True)
    outcomes = [_as_list(formula(**dict(zip(names, row, strict=True)), **case.arguments)) for row in rows]
    for of_row, result in zip(zip(*outcomes, strict=True), results, strict=True):
        assert matches(of_row, result), f"{name}: {_unwrap(of_row)} is not {result.tolist()}"
    return counts(cost), tally.counts


def _entry(name: str, case: Elementwise, run: Callable[[], Any]) -> Entry:
    """Return the entry of a profiled call, or of a made-up record if no dispatch mode sees the operator."""
    if case.traced:
        return entry(f"aten.{name}", run)
    run()
    arguments = tuple((key.lower(), value) for key, value in case.arguments.items())
    return cost_record(
        OpRecord(f"aten.{name}.default", "", "forward", arguments, (TensorSpec((11,), "float64", 11),), 1)
    )


def _as_list(outcome: Any) -> list[Any]:
    return list(outcome) if isinstance(outcome, (tuple, list)) else [outcome]


#: The functions and constants of an expression, on counting numbers.
NOTATION = {
    "abs": absolute, "cos": cos, "erf": erf, "exp": exp, "exp2": exp2, "floor": floor, "i0": i0, "log": log,
    "log1p": log1p, "log2": log2, "max": maximum, "min": minimum, "round": rounded, "sin": sin, "sqrt": sqrt,
    "tanh": tanh, "where": where, "PI": math.pi, "INF": math.inf,
}  # fmt: skip


def compile_expression(expression: str, results: int = 1) -> Callable[..., Any]:
    """Compile an expression to a function of its names, which returns the last *results* of its steps."""
    code = compile(f"({expression})", "expression", "eval")

    def formula(**names: Any) -> Any:
        steps = _as_list(eval(code, NOTATION | names))  # noqa: S307 - the package's own table
        return steps[-results:]

    return formula
