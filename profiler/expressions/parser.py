"""Parse a formula into a sympy expression. Only listed nodes of Python's syntax tree are allowed."""

from __future__ import annotations

import ast
import math
import re
import warnings
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import sympy

from profiler.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: The functions of the formula language.
_FUNCTIONS: dict[str, Callable[..., sympy.Expr]] = {
    "sum": sympy.Add,
    "min": sympy.Min,
    "max": sympy.Max,
    "ceil": sympy.ceiling,
}
_HINT = "use numbers, names, + - * / **, parentheses, sum, min, max and ceil"
#: Limits on a formula, so that parsing takes little time and memory.
_LENGTH, _DEPTH, _DEGREE, _TERMS, _DIGITS, _ARGUMENTS = 4000, 30, 16, 1000, 60, 32
#: A limit on sympy's work on one formula, in half milliseconds: it compares each alternative of a min or max, those of
#: others inside it included, with all of them; a ceil and a divisor are looked through name by name.
_WORK, _CEIL_WORK, _DIVISOR_WORK = 600, 6, 2
#: Where the large primes begin and end that test whether a divisor is identically zero: more than a formula has names.
_PRIMES = 100_000, 140_000
_NUMBER = re.compile(r"(?P<whole>\d[\d_]*)?(?:\.(?P<part>\d[\d_]*)?)?(?:[eE](?P<power>[+-]?\d{1,4}))?")


class _Value(NamedTuple):
    """An expression, with upper bounds on its degree, its number of terms when expanded, and its size."""

    expression: sympy.Expr
    degree: int = 0
    terms: int = 1
    #: The alternatives of the min and max in it.
    choices: int = 1
    #: The names and numbers in it.
    size: int = 1


def parse(text: str, names: Collection[str] | None = None) -> sympy.Expr:
    """Parse a formula.

    Args:
        text: The formula.
        names: The names that may be used; None to allow any.

    Returns:
        An expression whose names are positive integer symbols and whose numbers are exact rationals.

    Raises:
        ExpressionError: The text is not a formula, or it uses another name. The error has the column, counted from 1.

    Example:
        >>> parse("9.4*L*H**2 + ceil(L/2)")
        47*H**2*L/5 + ceiling(L/2)
    """
    return _Parser(text.replace("\n", " "), names).parse()


class _Parser:
    """Parses one formula."""

    def __init__(self, text: str, names: Collection[str] | None) -> None:
        self._text, self._names = text, names
        self._work = 0
        self._indent = len(text) - len(text.lstrip())
        self._code = text[self._indent :].encode()  # Python gives the position of a node in bytes

    def parse(self) -> sympy.Expr:
        """Return the expression of the whole text."""
        if len(self._text) > _LENGTH:
            self._fail(_LENGTH, f"it has {len(self._text)} characters, more than {_LENGTH}")
        self._check_parentheses()
        try:
            with warnings.catch_warnings():  # Python warns of code that is rejected below anyway
                warnings.simplefilter("ignore")
                tree = ast.parse(self._text[self._indent :], mode="eval")
        except SyntaxError as error:
            at = self._indent + max(error.offset or 1, 1)
            self._fail(min(at, len(self._text) + 1), "unexpected symbol or end of the formula")
        except (ValueError, MemoryError, RecursionError):
            self._fail(1, "it is nested too deeply, or contains an invalid character or number")
        return self._convert(tree.body, 0).expression

    def _check_parentheses(self) -> None:
        """Reject deep nesting, which could crash Python's own parser."""
        depth = 0
        for column, character in enumerate(self._text, 1):
            depth += (character in "([{") - (character in ")]}")
            if depth > _DEPTH:
                self._fail(column, f"it is nested more than {_DEPTH} levels deep here")

    def _convert(self, node: ast.expr, depth: int) -> _Value:
        """Convert a node; every kind that is not listed here is an error."""
        if depth > _DEPTH:
            self._fail(self._column(node), f"it is nested more than {_DEPTH} levels deep here")
        if isinstance(node, ast.BinOp):
            return self._chain(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            inner = self._convert(node.operand, depth + 1)
            return inner if isinstance(node.op, ast.UAdd) else inner._replace(expression=-inner.expression)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            return _Value(self._number(node))
        return self._fail(self._column(node), f"{_describe(node)} is not allowed in a formula")

    def _chain(self, node: ast.BinOp, depth: int) -> _Value:
        """Convert ``a + b + c`` from the left in a loop, so that a long sum does not count as deep nesting."""
        operations: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            operations.append(left)
            left = left.left
        value = self._convert(left, depth + 1)
        for operation in reversed(operations):
            value = self._apply(operation, value, self._convert(operation.right, depth + 1))
        return value

    def _apply(self, node: ast.BinOp, left: _Value, right: _Value) -> _Value:
        """Apply one binary operator."""
        a, b = left.expression, right.expression
        rest = (max(left.choices, right.choices), left.size + right.size)
        match node.op:
            case ast.Add():
                value = _Value(a + b, max(left.degree, right.degree), left.terms + right.terms, *rest)
            case ast.Sub():
                value = _Value(a - b, max(left.degree, right.degree), left.terms + right.terms, *rest)
            case ast.Mult():
                value = _Value(a * b, left.degree + right.degree, left.terms * right.terms, *rest)
            case ast.Div():
                self._check_divisor(node.right, right)
                value = _Value(a / b, left.degree + right.degree, left.terms * right.terms, *rest)
            case ast.Pow():
                value = self._power(node.right, left, right)
            case _:
                hint = "; write ** for a power" if isinstance(node.op, ast.BitXor) else ""
                self._fail(self._column(node.right), f"the operator before this is not allowed{hint}")
        if value.degree > _DEGREE or value.terms > _TERMS or _magnitude(value.expression) > _DIGITS:
            self._fail(self._column(node.right), "the number, the degree or the expansion is too large here")
        return value

    def _check_divisor(self, at: ast.expr, divisor: _Value) -> None:
        """Reject a divisor that is zero for all values of its names; large primes stand for all values."""
        self._add_work(at, _DIVISOR_WORK * divisor.size)
        names = sorted(divisor.expression.free_symbols, key=str)
        if divisor.expression.xreplace(dict(zip(names, _primes(), strict=False))).is_zero:
            self._fail(self._column(at), "this divides by zero")

    def _power(self, at: ast.expr, base: _Value, exponent: _Value) -> _Value:
        """Raise to a small integer power."""
        n = exponent.expression
        if not isinstance(n, sympy.Integer):
            self._fail(self._column(at), "an exponent must be an integer")
        if n <= 0:
            self._check_divisor(at, base)
        size = int(min(abs(n), _LENGTH))
        terms = math.comb(base.terms + size - 1, size) if base.degree * size <= _DEGREE else 1
        if base.degree * size > _DEGREE or terms > _TERMS or _magnitude(base.expression) * size > _DIGITS:
            self._fail(self._column(at), "this power is too high")
        return _Value(base.expression**n, base.degree * size, terms, base.choices, base.size)

    def _call(self, node: ast.Call, depth: int) -> _Value:
        """Apply one of the functions."""
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            self._fail(self._column(node), "only sum, min, max and ceil can be called")
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            self._fail(self._column(node), f"{node.func.id} takes positional arguments only")
        most = 1 if node.func.id == "ceil" else _ARGUMENTS
        if not 1 <= len(node.args) <= most:
            expected = "1 argument" if most == 1 else f"1 to {most} arguments"
            self._fail(self._column(node), f"{node.func.id} takes {expected}, not {len(node.args)}")
        values = [self._convert(argument, depth + 1) for argument in node.args]
        size = sum(v.size for v in values)
        compared = node.func.id in {"min", "max"} and not all(v.expression.is_number for v in values)
        choices = sum(v.choices for v in values) if compared else max(v.choices for v in values)
        self._add_work(node, choices * size if compared else _CEIL_WORK * size if node.func.id == "ceil" else 0)
        return _Value(
            _FUNCTIONS[node.func.id](*(v.expression for v in values)),
            max(v.degree for v in values),
            sum(v.terms for v in values),
            choices,
            size,
        )

    def _add_work(self, at: ast.expr, work: int) -> None:
        self._work += work
        if self._work > _WORK:
            self._fail(
                self._column(at), "min, max, ceil and divisors up to here are too large; write a shorter formula"
            )

    def _name(self, node: ast.Name) -> _Value:
        """Convert a name to a symbol."""
        if node.id in _FUNCTIONS:
            self._fail(self._column(node), f"{node.id!r} is a function, and must be called")
        if self._names is not None and node.id not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            self._fail(self._column(node), f"unknown name {node.id!r}; known names: {known}", "")
        return _Value(sympy.Symbol(node.id, positive=True, integer=True), 1)

    def _number(self, node: ast.Constant) -> sympy.Rational:
        """Convert a number from its text; Python's float would be rounded."""
        text = self._code[node.col_offset : node.end_col_offset].decode()
        match = _NUMBER.fullmatch(text)
        if match is None or len(text) > _DIGITS or abs(int(match["power"] or 0)) > _DIGITS:
            self._fail(self._column(node), f"{text[:20]!r} is not a decimal number, or is too long or too large")
        value = Fraction(text.replace("_", ""))
        return sympy.Rational(value.numerator, value.denominator)

    def _column(self, node: ast.expr) -> int:
        """Return the column of a node in characters, counted from 1."""
        return self._indent + len(self._code[: node.col_offset].decode()) + 1

    def _fail(self, column: int, reason: str, hint: str = _HINT) -> NoReturn:
        shown = self._text if len(self._text) <= _DIGITS else f"{self._text[:_DIGITS]}…"
        msg = f"cannot parse the formula {shown!r} at column {column}: {reason}" + (f"; {hint}" if hint else "")
        raise ExpressionError(msg, column)


@cache
def _primes() -> tuple[sympy.Integer, ...]:
    return tuple(sympy.Integer(prime) for prime in sympy.primerange(*_PRIMES))


def _magnitude(number: sympy.Expr) -> float:
    """Return the decimal logarithm of the larger of a rational's numerator and denominator; 0 for other values."""
    if not isinstance(number, sympy.Rational):
        return 0.0
    return max(math.log10(max(abs(int(n)), 1)) for n in (number.p, number.q))


def _describe(node: ast.expr) -> str:
    names = {ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.Compare: "a comparison"}
    return names.get(type(node), f"a {type(node).__name__.lower()}")
