"""Parse the values of ``--letters``, ``--at``, ``--at-most`` and ``--for``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

from profiler.errors import InputError, UnknownNameError
from profiler.expressions import parse
from profiler.util.integers import read_integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.derive.variables import Point, Variable

_LETTER = re.compile(r"(?P<letter>[A-Za-z_]\w*)=(?:(?P<value>[1-9]\d*)|(?P<name>[A-Za-z_][\w.]*))")
_KIND = "size in --vary"


def read_letters(texts: Sequence[str], names: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Parse ``--letters``.

    Args:
        texts: Values of the option, each with one or more comma-separated items.
        names: Names of the varied sizes.

    Returns:
        The constants' values by letter, and the letters by size.

    Raises:
        InputError: An item cannot be parsed.
        UnknownNameError: An item names a size that is not varied.

    Example:
        >>> read_letters(["E=768,T=sequence"], ["batch", "sequence"])
        ({'E': 768}, {'sequence': 'T'})
    """
    values: dict[str, int] = {}
    letters: dict[str, str] = {}
    for item in _items(texts):
        match = _LETTER.fullmatch(item)
        if match is None:
            msg = f"cannot read {item!r} in --letters; write E=768 for a constant, or T=sequence for a size"
            raise InputError(msg)
        if match["value"] is not None:
            values[match["letter"]] = read_integer(match["value"], item)
        elif match["name"] in names:
            letters[match["name"]] = match["letter"]
        else:
            raise UnknownNameError(_KIND, match["name"], names)
    return values, letters


def read_point(texts: Sequence[str], variables: Sequence[Variable]) -> Point:
    """Parse ``--at``; a size that is not given is the model's default, clipped to the variable's range.

    Raises:
        InputError: An item cannot be parsed.
        UnknownNameError: An item names a size that is not varied.
    """
    point = {v.name: min(max(v.base, v.low), v.high) for v in variables}
    for item in _items(texts):
        name, _, size = item.partition("=")
        if name not in point:
            raise UnknownNameError(_KIND, name, point)
        if not size.isdecimal() or not (number := read_integer(size, item)):
            msg = f"cannot read {item!r} in --at; write NAME=SIZE, as in batch=8"
            raise InputError(msg)
        point[name] = number
    return point


def read_budget(text: str | None, name: str | None, variables: Sequence[Variable]) -> tuple[str, Fraction] | None:
    """Parse ``--at-most`` and ``--for``, which are given together or not at all.

    Returns:
        The name of the variable to solve for and the budget, or None without these options.

    Raises:
        InputError: One of the two is missing, or the budget is not a number.
        UnknownNameError: The size to solve for is not varied.
    """
    if text is None and name is None:
        return None
    if text is None or name is None:
        msg = "--at-most and --for must be given together; write --at-most 1e12 --for sequence"
        raise InputError(msg)
    matches = [v.name for v in variables if name in {v.name, v.letter}]
    if not matches:
        raise UnknownNameError(_KIND, name, [v.name for v in variables])
    value = parse(text, ())
    if not isinstance(value, sympy.Rational):
        msg = f"the budget {text!r} is not a number; write one, as in --at-most 1e12"
        raise InputError(msg)
    return matches[0], Fraction(int(value.p), int(value.q))


def _items(texts: Sequence[str]) -> Iterator[str]:
    return (item.strip() for text in texts for item in text.split(",") if item.strip())
