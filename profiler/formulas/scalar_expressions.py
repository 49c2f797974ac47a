"""Count the operations in an expression that computes one element.

Expressions are in Python's syntax, so that they can be read, and evaluated by tests::

    "x / (1 + exp(-x))"        neg, add, div: 3 FLOPs; exp: 1 transcendental

- Lowercase names are elements. ``:=`` names a value that is used more than once.
- Uppercase names are arguments of the operator, the same for all elements. Operations between constants are done once,
  and are not counted. Neither are operations that the value of an argument makes trivial: a product with 1 or 0, a sum
  with 0.
- ``where(c, a, b)`` selects per element: both sides are computed, as in vectorised code, and the selection is free.
- ``a if C else b`` selects by an argument: only one side is computed.
- The steps of a tuple run in order; its value is that of the last.
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

#: Functions that count as one FLOP.
_BASIC = frozenset("abs floor max min round".split())
#: Functions that count as one transcendental.
_TRANSCENDENTAL = frozenset(
    {"cos", "erf", "exp", "exp2", "i0", "lgamma", "log", "log1p", "log2", "sin", "sqrt", "tanh"}
)
_NUMBERS: dict[str, float] = {"PI": math.pi, "INF": math.inf}


class Operations(NamedTuple):
    """The number of operations per element."""

    flops: int
    transcendentals: int


def operations(expression: str, arguments: Mapping[str, Value]) -> Operations:
    """Count the operations of an expression for one element.

    Args:
        expression: See the module docstring.
        arguments: The operator's arguments, in lowercase. One that is missing, None or ``FLOAT`` is assumed to be a
            number other than 0 and 1.

    Example:
        >>> operations("x + ALPHA * y", {"alpha": 1}), operations("x + ALPHA * y", {"alpha": "<float>"})
        (Operations(flops=1, transcendentals=0), Operations(flops=2, transcendentals=0))
    """
    return _count(expression, tuple((name, arguments.get(name.lower())) for name in _parameters(expression)))


@cache
def _parameters(expression: str) -> tuple[str, ...]:
    """Return the uppercase names."""
    names = {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name) and node.id.isupper()}
    return tuple(sorted(names - _NUMBERS.keys()))


@cache
def _parse(expression: str) -> ast.expr:
    return ast.parse(f"({expression})", mode="eval").body  # in parentheses it can span lines


@cache
def _count(expression: str, arguments: tuple[tuple[str, Value], ...]) -> Operations:
    counter = _Counter(dict(arguments))
    counter.visit(_parse(expression))
    return Operations(counter.flops, counter.transcendentals)


class _Element:
    """The value of an expression that differs from element to element."""


_ELEMENT = _Element()
_NOT_TRIVIAL = object()
_ONE, _ONE_TRANSCENDENTAL = Operations(1, 0), Operations(0, 1)
_FUNCTIONS = dict.fromkeys(_BASIC, _ONE) | dict.fromkeys(_TRANSCENDENTAL, _ONE_TRANSCENDENTAL)
#: Operations of a power with a constant exponent. Any other power is one transcendental.
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
    """Counts the operations of an expression; visits each node once.

    A visit returns the value of a node: a constant, None for an unknown constant, or ``_ELEMENT``.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.flops = 0
        self.transcendentals = 0
        self._names: dict[str, Any] = _NUMBERS | arguments

    def generic_visit(self, node: ast.AST) -> Any:
        """Raise, because the notation does not have this syntax.

        Raises:
            ValueError: Always.
        """
        msg = f"unsupported syntax in an expression: {ast.unparse(node)!r}"
        raise ValueError(msg)

    def visit_Constant(self, node: ast.Constant) -> Any:
        """Return a literal."""
        return node.value

    def visit_Name(self, node: ast.Name) -> Any:
        """Return the value of an argument or of a name assigned before; any other name is an element."""
        return self._names.get(node.id, _ELEMENT)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Any:
        """Assign a value to a name."""
        self._names[node.target.id] = self.visit(node.value)
        return self._names[node.target.id]

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        """Visit the steps in order and return the value of the last."""
        return [self.visit(step) for step in node.elts][-1]

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """Visit the side that the argument selects."""
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Count a compare of elements, or evaluate one of constants."""
        left, right = self.visit(node.left), self.visit(node.comparators[0])
        if _ELEMENT not in (left, right):
            return (left is right) if isinstance(node.ops[0], ast.Is) else (left == right)
        return self._count()

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        """Count a negation of an element, or evaluate one of a constant."""
        value = self.visit(node.operand)
        if value is _ELEMENT:
            return self._count()
        return -value if _is_number(value) else None

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """Count a binary operation, unless it is trivial or between constants."""
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Pow) and _ELEMENT in (left, right):
            return self._count(_power(right))
        trivial = _trivial_result(type(node.op), left, right)
        if trivial is not _NOT_TRIVIAL:
            return trivial
        if _ELEMENT in (left, right):
            return self._count()
        fold = _FOLDED.get(type(node.op))
        return fold(left, right) if fold and _is_number(left) and _is_number(right) else None

    def visit_Call(self, node: ast.Call) -> Any:
        """Count a function of elements; ``where`` is free."""
        name = ast.unparse(node.func)
        if _ELEMENT not in [self.visit(argument) for argument in node.args]:
            return None
        if name == "where":
            return _ELEMENT
        return self._count(_FUNCTIONS[name])

    def _count(self, operations: Operations = _ONE) -> _Element:
        self.flops += operations.flops
        self.transcendentals += operations.transcendentals
        return _ELEMENT


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _power(exponent: Any) -> Operations:
    return _POWERS.get(exponent, _ONE_TRANSCENDENTAL) if _is_number(exponent) else _ONE_TRANSCENDENTAL


def _trivial_result(kind: type[ast.operator], left: Any, right: Any) -> Any:
    """Return the result of an operation that computes nothing, such as ``x * 1``, or else ``_NOT_TRIVIAL``."""
    if kind is ast.Mult and 0 in (left, right):
        return 0
    if kind is ast.Mult and left == 1:
        return right
    if (kind in {ast.Mult, ast.Div} and right == 1) or (kind in {ast.Add, ast.Sub} and right == 0):
        return left
    return right if kind is ast.Add and left == 0 else _NOT_TRIVIAL
