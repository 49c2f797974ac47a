"""The words after ``--letters``, ``--at``, ``--at-most`` and ``--for``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

from profiler.errors import InputError, UnknownNameError
from profiler.expressions import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.derive.variables import Point, Variable

_LETTER = re.compile(r"(?P<letter>[A-Za-z_]\w*)=(?:(?P<value>[1-9]\d*)|(?P<name>[A-Za-z_][\w.]*))")
_KIND = "size in --vary"


def read_letters(texts: Sequence[str], names: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Read values by letter, and letters by size.

    Raises:
        InputError: A word cannot be read.
        UnknownNameError: A word names no size that is varied.

    Example:
        >>> read_letters(["E=768,T=sequence"], ["batch", "sequence"])
        ({'E': 768}, {'sequence': 'T'})
    """
    values: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for word in _words(texts):
        match = _LETTER.fullmatch(word)
        if match is None:
            msg = f"cannot read {word!r} in --letters; write E=768 for a constant, or T=sequence for a size"
            raise InputError(msg)
        if match["value"] is not None:
            values[match["letter"]] = int(match["value"])
        elif match["name"] in names:
            renamed[match["name"]] = match["letter"]
        else:
            raise UnknownNameError(_KIND, match["name"], names)
    return values, renamed


def read_point(texts: Sequence[str], variables: Sequence[Variable]) -> Point:
    """Read sizes of some variables; the others have the model's own, as far as it is in their range.

    Raises:
        InputError: A word cannot be read.
        UnknownNameError: A word names no size that is varied.
    """
    point = {v.name: min(max(v.base, v.low), v.high) for v in variables}
    for word in _words(texts):
        name, _, size = word.partition("=")
        if name not in point:
            raise UnknownNameError(_KIND, name, point)
        if not size.isdecimal() or int(size) < 1:
            msg = f"cannot read {word!r} in --at; write NAME=SIZE, as in batch=8"
            raise InputError(msg)
        point[name] = int(size)
    return point


def read_budget(text: str | None, name: str | None, variables: Sequence[Variable]) -> tuple[str, Fraction] | None:
    """Read a budget and the size that it asks for, of which neither means anything alone.

    Raises:
        InputError: One is missing, or the budget is no number.
        UnknownNameError: The size is none that is varied.
    """
    if text is None and name is None:
        return None
    if text is None or name is None:
        msg = "--at-most and --for belong together; write, say, --at-most 1e12 --for sequence"
        raise InputError(msg)
    found = [v.name for v in variables if name in {v.name, v.letter}]
    if not found:
        raise UnknownNameError(_KIND, name, [v.name for v in variables])
    value = parse(text, ())
    if not isinstance(value, sympy.Rational):
        msg = f"the budget {text!r} is no number"
        raise InputError(msg)
    return found[0], Fraction(int(value.p), int(value.q))


def _words(texts: Sequence[str]) -> Iterator[str]:
    return (word.strip() for text in texts for word in text.split(",") if word.strip())
