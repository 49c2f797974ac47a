"""Arithmetic written as an expression of one element, and how many operations it holds.

An expression is Python's own syntax, so that what is counted can be read, and be evaluated by a test::

    "x / (1 + exp(-x))"        neg, add, div: 3 FLOPs; exp: 1 transcendental

- Names in small letters are elements; ``:=`` keeps a value that is used twice.
- Names in capitals are arguments of the operator, the same for all elements. Work between constants is done once and
  not counted. Nor is what an argument makes idle: a product with 1 or 0, a sum with 0.
- ``where(c, a, b)`` chooses for each element: both sides are computed, as vector code does, and the choice is free.
- ``a if C else b`` chooses by an argument: one side is computed.
"""

from __future__ import annotations

import ast
import math
import operator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profiler.values.records import Value

#: Functions of one operation.
_PLAIN = frozenset("abs floor max min round".split())
#: Functions that count as one transcendental.
_TRANSCENDENTAL = frozenset(
    {"cos", "erf", "exp", "exp2", "i0", "lgamma", "log", "log1p", "log2", "sin", "sqrt", "tanh"}
)
_NUMBERS: dict[str, float] = {"PI": math.pi, "INF": math.inf}


class Operations(NamedTuple):
    """What one element takes."""

    flops: int
    transcendentals: int


def operations(expression: str, arguments: Mapping[str, Value]) -> Operations:
    """Count the operations of an expression on one element, with the operator's *arguments* known.

    One that is not among them, or is None because it was not observed, counts as any number would.

    Example:
        >>> operations("x + ALPHA * y", {"alpha": 1}), operations("x + ALPHA * y", {"alpha": None})
        (Operations(flops=1, transcendentals=0), Operations(flops=2, transcendentals=0))
    """
    return _count(expression, tuple((name, arguments.get(name.lower())) for name in _parameters(expression)))


@cache
def _parameters(expression: str) -> tuple[str, ...]:
    """List the names in capitals."""
    names = {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name) and node.id.isupper()}
    return tuple(sorted(names - _NUMBERS.keys()))


@cache
def _parse(expression: str) -> ast.expr:
    return ast.parse(f"({expression})", mode="eval").body  # parentheses let it run over lines


@cache
def _count(expression: str, arguments: tuple[tuple[str, Value], ...]) -> Operations:
    counter = _Counter(dict(arguments))
    counter.visit(_parse(expression))
    return Operations(counter.flops, counter.transcendentals)


class _Varies:
    """What is known of an element: nothing, and it differs from the next."""


_VARIES = _Varies()
_NOT_IDLE = object()
_ONE, _ONE_TRANSCENDENTAL = Operations(1, 0), Operations(0, 1)
_FUNCTIONS = dict.fromkeys(_PLAIN, _ONE) | dict.fromkeys(_TRANSCENDENTAL, _ONE_TRANSCENDENTAL)
#: What a power by a constant takes. Any other is one transcendental.
#: Source: aten/src/ATen/native/UnaryOps.cpp, Pow.cpp and cpu/PowKernel.cpp of torch.
_POWERS: dict[float, Operations] = {
    0: Operations(0, 0),
    1: Operations(0, 0),
    2: _ONE,  # x·x
    3: Operations(2, 0),  # x·x·x
    -1: _ONE,  # 1/x
    -2: Operations(2, 0),  # 1/(x·x)
    0.5: _ONE_TRANSCENDENTAL,  # sqrt
    -0.5: _ONE_TRANSCENDENTAL,  # rsqrt
}
_FOLDED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


class _Counter(ast.NodeVisitor):
    """Visits every operation once; a visit gives what is known of the value: a constant, None, or that it varies."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Begin with the names that have a value."""
        self.flops = 0
        self.transcendentals = 0
        self._known: dict[str, Any] = _NUMBERS | arguments

    def generic_visit(self, node: ast.AST) -> Any:
        """Refuse what the notation does not have."""
        msg = f"an expression cannot hold {ast.unparse(node)!r}"
        raise ValueError(msg)

    def visit_Constant(self, node: ast.Constant) -> Any:
        """Give a literal."""
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        """Look a name up: an argument, a kept value, or an element."""
        return self._known.get(node.id, _VARIES)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Any:
        """Keep a value."""
        self._known[node.target.id] = self.visit(node.value)
        return self._known[node.target.id]

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        """Take the steps one after the other; the last is the result."""
        return [self.visit(step) for step in node.elts][-1]

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Take the side that the argument chooses."""
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Compare elements, for one; or ask an argument."""
        left, right = self.visit(node.left), self.visit(node.comparators[0])
        if _VARIES not in (left, right):
            return (left is right) if isinstance(node.ops[0], ast.Is) else (left == right)
        return self._computed()

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        """Negate."""
        value = self.visit(node.operand)
        if value is _VARIES:
            return self._computed()
        return -value if _is_number(value) else None

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """Add, subtract, multiply, divide or raise, unless that is idle or between constants."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Pow) and _VARIES in (left, right):
            return self._computed(_power(right))
        idle = _idle(type(node.op), left, right)
        if idle is not _NOT_IDLE:
            return idle
        if _VARIES in (left, right):
            return self._computed()
        fold = _FOLDED.get(type(node.op))
        return fold(left, right) if fold and _is_number(left) and _is_number(right) else None

    def visit_Call(self, node: ast.Call) -> Any:
        """Evaluate a function; a choice is free."""
        name = ast.unparse(node.func)
        if _VARIES not in [self.visit(argument) for argument in node.args]:
            return None
        if name == "where":
            return _VARIES
        return self._computed(_FUNCTIONS[name])

    def _computed(self, took: Operations = _ONE) -> _Varies:
        self.flops += took.flops
        self.transcendentals += took.transcendentals
        return _VARIES


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _power(exponent: Any) -> Operations:
    return _POWERS.get(exponent, _ONE_TRANSCENDENTAL) if _is_number(exponent) else _ONE_TRANSCENDENTAL


def _idle(kind: type[ast.operator], left: Any, right: Any) -> Any:
    """Give the value of an operation that does nothing, such as ``x · 1``; or ``_NOT_IDLE``."""
    if kind is ast.Mult and 0 in (left, right):
        return 0
    if kind is ast.Mult and left == 1:
        return right
    if (kind in {ast.Mult, ast.Div} and right == 1) or (kind in {ast.Add, ast.Sub} and right == 0):
        return left
    return right if kind is ast.Add and left == 0 else _NOT_IDLE
