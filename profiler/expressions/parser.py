"""From text to a sympy expression, by a white list of Python's syntax tree."""

from __future__ import annotations

import ast
import math
import re
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import sympy

from profiler.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: The functions of the language.
NAMES: dict[str, Callable[..., sympy.Expr]] = {
    "sum": sympy.Add,
    "min": sympy.Min,
    "max": sympy.Max,
    "ceil": sympy.ceiling,
}
_LANGUAGE = "write numbers, names, + - * / **, parentheses, sum, min, max and ceil"
#: What a text may ask for, so that reading it takes no time and no memory.
_LENGTH, _DEPTH, _DEGREE, _TERMS, _DIGITS, _ARGUMENTS = 4000, 30, 16, 1000, 60, 32
_FAR = 10_000
_NUMBER = re.compile(r"(?P<whole>\d[\d_]*)?(?:\.(?P<part>\d[\d_]*)?)?(?:[eE](?P<power>[+-]?\d{1,4}))?")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**",
}  # fmt: skip


class _Value(NamedTuple):
    """An expression, and bounds on its degree in its names and on its terms when multiplied out."""

    expression: sympy.Expr
    degree: int = 0
    terms: int = 1


def parse(text: str, names: Collection[str] | None = None) -> sympy.Expr:
    """Read a formula; its names become positive integer symbols, its numbers exact rationals.

    Args:
        text: One formula.
        names: The names that may be used; any, if not given.

    Raises:
        ExpressionError: It is no formula of the language, or uses another name; the error has the column, from 1.

    Example:
        >>> parse("9.4*L*H**2 + ceil(L/2)")
        47*H**2*L/5 + ceiling(L/2)
    """
    return _Reader(text.replace("\n", " "), names).read()


class _Reader:
    """Reads one text."""

    def __init__(self, text: str, names: Collection[str] | None) -> None:
        self._text, self._names = text, names
        self._bytes = text.encode()

    def read(self) -> sympy.Expr:
        """Give the whole expression."""
        if len(self._text) > _LENGTH:
            self._refuse(_LENGTH, f"it has {len(self._text)} characters, more than {_LENGTH}")
        self._check_parentheses()
        indent = len(self._text) - len(self._text.lstrip())
        self._indent = indent
        try:
            with warnings.catch_warnings():  # Python warns of what is refused below anyway
                warnings.simplefilter("ignore")
                tree = ast.parse(self._text[indent:], mode="eval")
        except SyntaxError as error:
            at = indent + max(error.offset or 1, 1)
            self._refuse(min(at, len(self._text) + 1), "it breaks off, or this cannot stand here")
        except (ValueError, MemoryError, RecursionError):
            self._refuse(1, "it is nested too deep, or holds a character or number that cannot be read")
        return self._value(tree.body, 0).expression

    def _check_parentheses(self) -> None:
        """Refuse deep nesting before Python's own parser meets it."""
        depth = 0
        for column, character in enumerate(self._text, 1):
            depth += (character in "([{") - (character in ")]}")
            if depth > _DEPTH:
                self._refuse(column, f"it is nested more than {_DEPTH} deep here")

    def _value(self, node: ast.expr, depth: int) -> _Value:
        """Read a node; only what is listed here is in the language."""
        if depth > _DEPTH:
            self._refuse(self._column(node), f"it is nested more than {_DEPTH} deep here")
        if isinstance(node, ast.BinOp):
            return self._chain(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            inner = self._value(node.operand, depth + 1)
            return inner if isinstance(node.op, ast.UAdd) else inner._replace(expression=-inner.expression)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            return _Value(self._number(node))
        return self._refuse(self._column(node), f"{_describe(node)} is not in the language")

    def _chain(self, node: ast.BinOp, depth: int) -> _Value:
        """Read ``a + b + c`` from the left, so that a long sum is not a deep one."""
        spine: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            spine.append(left)
            left = left.left
        value = self._value(left, depth + 1)
        for step in reversed(spine):
            value = self._join(step, value, self._value(step.right, depth + 1))
        return value

    def _join(self, node: ast.BinOp, left: _Value, right: _Value) -> _Value:
        """Apply one operator."""
        a, b = left.expression, right.expression
        match node.op:
            case ast.Add():
                value = _Value(a + b, max(left.degree, right.degree), left.terms + right.terms)
            case ast.Sub():
                value = _Value(a - b, max(left.degree, right.degree), left.terms + right.terms)
            case ast.Mult():
                value = _Value(a * b, left.degree + right.degree, left.terms * right.terms)
            case ast.Div():
                self._check_divisor(node.right, b)
                value = _Value(a / b, left.degree + right.degree, left.terms * right.terms)
            case ast.Pow():
                value = self._power(node.right, left, right)
            case _:
                hint = "; a power is written **" if isinstance(node.op, ast.BitXor) else ""
                self._refuse(self._column(node.right), f"the operator before this is not in the language{hint}")
        if value.degree > _DEGREE or value.terms > _TERMS or _magnitude(value.expression) > _DIGITS:
            self._refuse(self._column(node.right), "the number, degree or expansion is too large here")
        return value

    def _check_divisor(self, at: ast.expr, divisor: sympy.Expr) -> None:
        """Refuse to divide by what is zero whatever its names stand for: zero for large primes, that is."""
        names = sorted(divisor.free_symbols, key=str)
        value = divisor.subs({name: sympy.prime(_FAR + i) for i, name in enumerate(names)})
        if value.is_zero:
            self._refuse(self._column(at), "this divides by zero")

    def _power(self, at: ast.expr, base: _Value, exponent: _Value) -> _Value:
        """Raise to a power that is a small whole number."""
        n = exponent.expression
        if not isinstance(n, sympy.Integer):
            self._refuse(self._column(at), "an exponent has to be a whole number")
        if n <= 0:
            self._check_divisor(at, base.expression)
        size = int(min(abs(n), _LENGTH))
        terms = math.comb(base.terms + size - 1, size) if base.degree * size <= _DEGREE else 1
        if base.degree * size > _DEGREE or terms > _TERMS or _magnitude(base.expression) * size > _DIGITS:
            self._refuse(self._column(at), "this power is too high")
        return _Value(base.expression**n, base.degree * size, terms)

    def _call(self, node: ast.Call, depth: int) -> _Value:
        """Apply one of the functions."""
        if not isinstance(node.func, ast.Name) or node.func.id not in NAMES:
            self._refuse(self._column(node), "only sum, min, max and ceil can be called")
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            self._refuse(self._column(node), f"{node.func.id} takes plain values")
        most = 1 if node.func.id == "ceil" else _ARGUMENTS
        if not 1 <= len(node.args) <= most:
            self._refuse(self._column(node), f"{node.func.id} takes 1 to {most} values, and this is {len(node.args)}")
        values = [self._value(argument, depth + 1) for argument in node.args]
        return _Value(
            NAMES[node.func.id](*(v.expression for v in values)),
            max(v.degree for v in values),
            sum(v.terms for v in values),
        )

    def _name(self, node: ast.Name) -> _Value:
        """Make a symbol of a name."""
        if node.id in NAMES:
            self._refuse(self._column(node), f"{node.id!r} is a function, not a name")
        if self._names is not None and node.id not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            self._refuse(self._column(node), f"no value is named {node.id!r}; known: {known}", "")
        return _Value(sympy.Symbol(node.id, positive=True, integer=True), 1)

    def _number(self, node: ast.Constant) -> sympy.Rational:
        """Read a number as it is written; a float would already have rounded it."""
        written = self._bytes_of(node)
        match = _NUMBER.fullmatch(written)
        if match is None or len(written) > _DIGITS or abs(int(match["power"] or 0)) > _DIGITS:
            self._refuse(self._column(node), f"{written[:20]!r} is no decimal number, or too long a one")
        value = Fraction(written.replace("_", ""))
        return sympy.Rational(value.numerator, value.denominator)

    def _bytes_of(self, node: ast.expr) -> str:
        start = len(self._text[: self._indent].encode())
        return self._bytes[start + node.col_offset : start + (node.end_col_offset or 0)].decode()

    def _column(self, node: ast.expr) -> int:
        """Give the column of a node in characters, from 1; Python's own is in bytes."""
        start = len(self._text[: self._indent].encode())
        return len(self._bytes[: start + node.col_offset].decode()) + 1

    def _refuse(self, column: int, reason: str, hint: str = _LANGUAGE) -> NoReturn:
        shown = self._text if len(self._text) <= _DIGITS else f"{self._text[:_DIGITS]}…"
        msg = f"cannot read the formula {shown!r} at column {column}: {reason}" + (f"; {hint}" if hint else "")
        raise ExpressionError(msg, column)


def _magnitude(number: sympy.Expr) -> float:
    """Give the decimal logarithm of the larger of a number's two parts; 0 where it is none."""
    if not isinstance(number, sympy.Rational):
        return 0.0
    return max(math.log10(max(abs(int(n)), 1)) for n in (number.p, number.q))


def _describe(node: ast.expr) -> str:
    """Name what stands there in a reader's words."""
    names = {ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.Compare: "a comparison"}
    return names.get(type(node), f"a {type(node).__name__.lower()}")
