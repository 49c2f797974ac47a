"""Change data files at random: their bytes, their lines, and the values in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

#: Values of every type that no writer would write.
ODD = [
    None, True, False, 0, -1, 7, 2**63, 10**30, 10**39, 1e308, -1e308, 1e-320, 0.5, "", "x", "[/]", "\x1b[31m", "a|b",
    "\u202e", "9" * 50, "x" * 5000, "*", "..", "/", "1e999", "nan",
    [], [[]], [7], ["x"], {}, {"a": 1}, [None], [[[[[]]]]], {"": {}},
]  # fmt: skip
TOKENS = [
    *(b"[", b"]", b"{", b"}", b'"', b"'", b"=", b",", b":", b".", b"#", b"\n", b"\0", b"\xff"),
    *(b"inf", b"nan", b"-", b"9" * 60),
]


def mutate(data: bytes, random: Random) -> bytes:
    """Return the content of a file with one or several changes."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        data = random.choice(_CHANGES)(data, random)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    first, last = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    return data[:first] if random.random() < 0.3 else data[:first] + data[min(last, first + 40) :]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(TOKENS) * random.choice((1, 1, 1, 3, 2000)) + data[at:]


def _lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    lines[at : at + 1] = random.choice(([], [lines[at]] * 2, [random.choice(lines)]))
    return b"\n".join(lines)


def _number(data: bytes, random: Random) -> bytes:
    """Replace a run of digits."""
    at = [i for i in range(len(data)) if data[i : i + 1].isdigit() and not data[max(i - 1, 0) : i].isdigit()]
    if not at:
        return data
    first = random.choice(at)
    last = next((i for i in range(first, len(data)) if not data[i : i + 1].isdigit()), len(data))
    number = random.choice((b"0", b"-1", b"1e308", b"1e999", b"9" * 30, b"9" * 5000, b"0.5", b"true", b'"7"', b"[]"))
    return data[:first] + number + data[last:]


def _value(data: bytes, random: Random) -> bytes:
    """Replace a value on the right of ``=`` or ``:`` up to the end of its line."""
    lines = data.split(b"\n")
    at = [i for i, line in enumerate(lines) if b"=" in line or b": " in line]
    if not at:
        return data
    i = random.choice(at)
    separator = b"=" if b"=" in lines[i] else b":"
    key = lines[i].partition(separator)[0]
    odd = json.dumps(random.choice([value for value in ODD if value is not None])).encode()
    end = b"," if lines[i].endswith(b",") else b""
    lines[i] = key + separator + b" " + odd + end
    return b"\n".join(lines)


def _json(data: bytes, random: Random) -> bytes:
    """Replace, remove or add a value anywhere in a JSON document."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _number(data, random)
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return data
    table, key = random.choice(places)
    action = random.random()
    if action < 0.6:
        table[key] = random.choice(ODD)
    elif action < 0.8:
        del table[key]
    elif isinstance(table, list):
        table.append(table[key])
    else:
        table["odd"] = random.choice(ODD)
    return json.dumps(document, indent=1).encode("utf-8", "surrogatepass")


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        places.append((value, key))
        _collect(inner, places)


_CHANGES = (_flip, _cut, _insert, _lines, _number, _number, _value, _value, _value, _json, _json, _json)
