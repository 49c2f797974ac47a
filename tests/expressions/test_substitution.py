"""Substitution: exact, all at the same time, and never infinite."""

from __future__ import annotations

import pytest
import sympy

from profiler.errors import InputError
from profiler.expressions import parse, substitute


def test_names_are_replaced_all_at_the_same_time():
    a, b = sympy.symbols("a b")
    assert substitute(a - 2 * b, {"a": b, "b": a}) == b - 2 * a


def test_a_name_without_a_value_stays():
    assert substitute(parse("E**2 * S"), {"E": 3}) == 9 * parse("S")


@pytest.mark.parametrize(
    "text", ["1/(S - 2)", "max(1, 1/(S - 2))", "min(S, 3/(S - 2))", "(S - 2)/(S - 2)**2", "ceil(1/(S - 2))"]
)
def test_a_division_by_zero_is_refused(text):
    assert substitute(parse(text), {"S": 3}) >= 1
    with pytest.raises(InputError, match="divides by zero at S=2"):
        substitute(parse(text), {"S": 2})
