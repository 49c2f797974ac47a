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


def each(n, text):
    return [text.format(i=i) for i in range(n)]


def call(function, arguments):
    return f"{function}({','.join(arguments)})"


SLOW = {
    "nested": call("max", each(30, "max(x{i},y{i},ceil(z{i}/3))")),
    "wide": call("max", each(32, "a{i}*b{i}")),
    "flat": call("max", [call("max", each(8, f"x{j}_{{i}}")) for j in range(8)]),
    "alternating": call("max", [call("min", each(16, f"x{j}_{{i}}*y{{i}}")) for j in range(16)]),
    "long": call("max", ["+".join(each(15, f"a{j}_{{i}}*b{{i}}")) for j in range(16)]),
    "ratios": call(
        "min", ["+".join(each(6, f"a{j}_{{i}}")) + "/(" + "+".join(each(6, "b{i}")) + ")" for j in range(16)]
    ),
    "many": "+".join(each(150, "max(a{i},b{i})")),
    "ceilings": "+".join(each(150, "ceil(x{i}/y{i})")),
    "ceiling": "ceil(" + "+".join(each(300, "x{i}/3")) + ")",
    "divisors": "+".join(each(90, "1/(max(x{i},y{i})-z{i})")),
    "inside a divisor": "1/(" + "+".join(each(30, "max(x{i},y{i},z{i})")) + ")",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_a_formula_that_sympy_would_work_on_for_long_is_parsed_or_refused_at_once(text):
    start = time.process_time()
    message = ""
    try:
        parse(text)
    except ExpressionError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 300
    assert time.process_time() - start < 1


def test_what_is_too_large_is_named():
    with pytest.raises(ExpressionError, match=r"at column 1: min, max, ceil and divisors up to here are too large"):
        parse(SLOW["wide"])


@pytest.mark.parametrize(
    "text",
    [
        call("max", each(16, "x{i}")),
        call("min", each(32, "{i}")),
        "+".join(each(40, "ceil(x{i}/2)")),
        "max(max(a, b), min(c, d), ceil(e/2)*f)",
    ],
)
def test_a_formula_of_ordinary_size_is_parsed(text):
    parse(text)
