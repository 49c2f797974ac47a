"""Symbolic expressions of an exported program, such as ``Max(1, s0)``: sympy evaluates them as Python code.

torch writes them in either form of sympy: ``2*s0``, or ``Mul(Integer(2), Symbol('s0', positive=True))``.
"""

from __future__ import annotations

import ast
import re

from profiler.targets.exported.unsafe import UnsafeProgramError

_LONGEST, _HIGHEST_POWER = 4000, 64
_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword, ast.Tuple, ast.Name,
    ast.Constant, ast.Load, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
#: What takes its first argument as a text and does not evaluate it, and the form of the text; all others would.
_TEXTS = {"Symbol": re.compile(r"[A-Za-z_]\w{0,60}"), "Float": re.compile(r"[\d.eE+-]{1,60}")}
#: Functions with a name in small letters; those of classes of sympy and torch, such as FloorDiv, begin with a capital.
_FUNCTIONS = {"floor", "ceiling", "sqrt", "log", "exp", "sin", "cos", "tan"}


def check_expression(text: str) -> None:
    """Raise unless *text* is arithmetic on numbers and symbols.

    Raises:
        UnsafeProgramError: It has another form, or would take long to evaluate.
    """
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = None
    if tree is None or not all(map(_is_harmless, ast.walk(_without_texts(tree)))):
        msg = "which is not an arithmetic expression"
        raise UnsafeProgramError(msg)


def _without_texts(tree: ast.Expression) -> ast.Expression:
    """Replace the texts in ``Symbol('s0')`` and its like by numbers; any text that is left is not harmless."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(text)), *_]):
                if name in _TEXTS and _TEXTS[name].fullmatch(text):
                    node.args[0] = ast.Constant(0)
    return tree


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float)
        case ast.Call(func=ast.Name(id="Pow"), args=[_, exponent]):
            return _is_low(exponent)
        case ast.Call(func=ast.Name(id=name)):
            return name != "Pow" and (name[0].isupper() or name in _FUNCTIONS)
        case ast.BinOp(op=ast.Pow(), right=exponent):
            return _is_low(exponent)
        case ast.Name(id=name):
            return "__" not in name
        case _:
            return isinstance(node, _NODES) and not isinstance(node, ast.Call)


def _is_low(exponent: ast.expr) -> bool:
    """Return whether an exponent is a small number: ``64``, ``-1`` or ``Integer(2)``."""
    inner = exponent
    while isinstance(inner, ast.UnaryOp | ast.Call):
        inner = inner.operand if isinstance(inner, ast.UnaryOp) else next(iter(inner.args), ast.Constant(None))
    return (
        isinstance(inner, ast.Constant) and isinstance(inner.value, int | float) and abs(inner.value) <= _HIGHEST_POWER
    )
