"""The formula language: what is parsed, what is refused, and at which column."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
import sympy
from sympy import Rational, ceiling

from profiler.errors import ExpressionError
from profiler.expressions import parse


def symbol(name):
    return sympy.Symbol(name, positive=True, integer=True)


B, S, E = (symbol(name) for name in "BSE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24*B*S*E**2 + 4*B*S**2*E", 24 * B * S * E**2 + 4 * B * S**2 * E),
        ("(B - 1)/2", (B - 1) / 2),
        ("-B**2", -(B**2)),
        ("2**-1", Rational(1, 2)),
        ("B**0", sympy.Integer(1)),
        ("0.1", Rational(1, 10)),  # a float would be 0.1000000000000000055…
        ("9.4e-1", Rational(94, 100)),
        ("1e12", sympy.Integer(10**12)),
        ("1_000", sympy.Integer(1000)),
        ("sum(B, S, 1)", B + S + 1),
        ("min(3, 2)", sympy.Integer(2)),
        ("max(B, S)", sympy.Max(B, S)),
        ("ceil(B/32)**2", ceiling(B / 32) ** 2),
        ("  B +\n S ", B + S),
        ("8.64*10**19", sympy.Integer(864 * 10**17)),
    ],
)
def test_a_formula_is_read_exactly(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "unexpected symbol or end"),
        ("24*B*S*(E", 8, "unexpected symbol or end"),
        ("2*B foo", 5, "unexpected symbol or end"),
        ("__import__('os')", 1, "only sum, min, max and ceil"),
        ("B + eval(1)", 5, "only sum, min, max and ceil"),
        ("B*E.real", 3, "attribute"),
        ("é*B.c", 3, "attribute"),  # columns are characters, not bytes
        ("B[0]", 1, "subscript"),
        ("B < 2", 1, "comparison"),
        ("B if S else E", 1, "ifexp"),
        ("lambda: 1", 1, "lambda"),
        ("True", 1, "constant"),
        ("'a'", 1, "constant"),
        ("1j", 1, "constant"),
        ("0x10", 1, "decimal"),
        ("1e999", 1, "decimal"),
        ("2^3", 3, "write ** for a power"),
        ("B//2", 4, "operator"),
        ("B + sum", 5, "is a function"),
        ("sum()", 1, "takes 1 to"),
        ("ceil(B, 2)", 1, "takes 1 argument, not 2"),
        ("min(*B)", 1, "positional arguments only"),
        ("B/0", 3, "divides by zero"),
        ("1/(B - B)", 4, "divides by zero"),
        ("0**-1", 4, "divides by zero"),
        ("B**S", 4, "must be an integer"),
        ("B**0.5", 4, "must be an integer"),
        ("9**9**9", 4, "too high"),
        ("B**17", 4, "too high"),
        ("(B**9)**2", 9, "too high"),
        ("10**59*10**59", 8, "too large"),
        ("(a+b+c+d+f+g+h)**16", 18, "too high"),
        ("(" * 40 + "B" + ")" * 40, 31, "nested"),
        ("-" * 40 + "B", 32, "nested"),
        ("B" * 5000, 4000, "characters"),
        ("a\0b", 1, "cannot"),
    ],
)
def test_anything_else_is_refused_with_its_column(text, column, reason):
    with pytest.raises(ExpressionError, match="column") as caught:
        parse(text)
    assert caught.value.column == column
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ExpressionError, match=r"column 3: unknown name 'Q'; known names: B, S"):
        parse("B*Q", ["B", "S"])


def test_a_long_sum_is_no_deep_one():
    assert parse("+".join(["B"] * 300)) == 300 * B


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "7**1e9", "(a+b+c+d)**16/(a+b+c+d)**16", "max(" + ",".join("abcdefgh") + ")"]
)
def test_no_text_takes_long(text):
    begin = time.perf_counter()
    with suppress(ExpressionError):
        parse(text)
    assert time.perf_counter() - begin < 2


def test_nothing_is_executed(tmp_path):
    witness = tmp_path / "witness"
    for text in (f"open({str(witness)!r}, 'w')", f"(lambda: open({str(witness)!r}, 'w'))()"):
        with pytest.raises(ExpressionError):
            parse(text)
    assert not witness.exists()
