"""Change data files at random: their bytes, their lines, and the values in them."""

from __future__ import annotations

import csv
import io
import json
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

#: Values of every type that no writer would write.
ODD = [
    None, True, False, 0, -1, 7, 2**63, 10**30, 10**39, 1e308, -1e308, 1e-320, 0.5, "", "x", "[/]", "\x1b[31m", "a|b",
    "\u202e", "9" * 50, "x" * 5000, "*", "..", "/", "1e999", "nan",
    [], [[]], [7], ["x"], {}, {"a": 1}, [None], [[[[[]]]]], {"": {}}, 10**5, 10**7, 1e30, -0.5, "\u0000", "ä" * 300,
    "__import__('os').system('touch PWNED')", "$(touch PWNED)", "`touch PWNED`", "../" * 9 + "etc/passwd",
    "{{ self.__init__.__globals__ }}", "!!python/object/apply:os.system ['touch PWNED']", "=cmd|'/C calc'!A0", "%n%n%s",
    "http://127.0.0.1:9/x", "file:///etc/passwd", "\x1b]0;title\x07", "~root", "/dev/zero", "/dev/stdin", "nosuch:net",
    "a" * 10**5, "9" * 5000, "1" + "0" * 400, "1e-400", "inf", "-1", "١٢", "0x10", "1_000", "٪",
]  # fmt: skip
#: Levels of nesting that parsers are asked for.
_DEPTHS = (90, 110, 2000, 100_000)
TOKENS = [
    *(b"[", b"]", b"{", b"}", b'"', b"'", b"=", b",", b":", b".", b"#", b"\n", b"\0", b"\xff"),
    *(b"inf", b"nan", b"-", b"9" * 60),
]


def mutate(data: bytes, random: Random) -> bytes:
    """Return the content of a file with one or several changes: of its bytes, or of what they stand for.

    The format is seen from the content: a zip archive, JSON, TOML or CSV.
    """
    if data.startswith(_ZIP) and random.random() < _IN_ARCHIVE:
        return _archive(data, random)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        data = random.choice(_CHANGES)(data, random)
    return data


def toml(document: dict[str, Any]) -> str:
    """Return a document in TOML, each of its keys in a line."""
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in document.items())


def _flip(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    first, last = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
    return data[:first] if random.random() < _AT_THE_END else data[:first] + data[min(last, first + 40) :]


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


def _structure(data: bytes, random: Random) -> bytes:
    """Replace, remove, add or move a value anywhere in what a JSON, TOML or CSV file holds."""
    if data[:1] in {b"{", b"["}:
        return _json(data, random)
    try:
        text = data.decode()
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return _cells(data, random)
    _change(document, random)
    return toml(document).encode("utf-8", "replace")


def _json(data: bytes, random: Random) -> bytes:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _number(data, random)
    _change(document, random)
    text = json.dumps(document, indent=1).encode("utf-8", "surrogatepass")
    if random.random() < _DEEP:
        depth = random.choice(_DEPTHS)
        text = text.replace(b"[]", b"[" * depth + b"]" * depth, 1)
    return text


def _cells(data: bytes, random: Random) -> bytes:
    """Change a cell of a CSV file, or the number of cells in a row."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode())))
    except (ValueError, csv.Error):
        return _number(data, random)
    row = random.choice(rows) if rows else []
    if not row:
        return data
    at = random.randrange(len(row))
    row[at : at + 1] = random.choice(([str(random.choice(ODD))], [], [row[at]] * 2, [random.choice(row)]))
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _change(document: Any, random: Random) -> None:
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return
    table, key = random.choice(places)
    action = random.choice(("replace", "replace", "replace", "remove", "add", "move", "nest"))
    if action == "replace":
        table[key] = random.choice(ODD)
    elif action == "remove":
        del table[key]
    elif action == "move":
        other, place = random.choice(places)
        table[key] = json.loads(json.dumps(other[place], default=str))
    elif action == "nest":
        table[key] = random.choice(([table[key]], {"odd": table[key]}, [table[key]] * 300))
    elif isinstance(table, list):
        table.append(table[key])
    else:
        table["odd"] = random.choice(ODD)


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        places.append((value, key))
        _collect(inner, places)


def _toml(value: Any) -> str:
    """Return a value as TOML writes it in a line; the empty table for nothing."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return "{}" if value is None else _string(value) if isinstance(value, str) else json.dumps(value, default=str)


def _string(text: str) -> str:
    """Return a string as TOML writes it: JSON's escapes, and those of characters beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return _string(key)


def _archive(data: bytes, random: Random) -> bytes:
    """Change a record of a zip archive, whose checksums are right again afterwards, or its names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice([name for name, record in records.items() if record] or list(records))
    action = random.choice(("change", "change", "change", "change", "remove", "rename", "add", "swap"))
    if action == "change":
        records[name] = mutate(records[name], random)
    elif action == "remove":
        del records[name]
    elif action == "rename":
        records[random.choice((name[1:], "../" + name, "/" + name, name + "\x1b[31m", "x" * 300))] = records.pop(name)
    elif action == "add":
        folder = name.partition("/")[0]
        records[f"{folder}/{random.choice(('x', 'data.pkl', 'code/x.py', 'extra/x', 'data/aotinductor/x.so'))}"] = b"x"
    else:
        other = random.choice(list(records))
        records[name], records[other] = records[other], records[name]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for record, content in records.items():
            archive.writestr(record, content)
    return out.getvalue()


#: How often what is cut reaches to the end.
_AT_THE_END = 0.3
_ZIP = b"PK\x03\x04"
#: How often a change is of a record of an archive, not of its bytes; and how often JSON gets deep.
_IN_ARCHIVE, _DEEP = 0.8, 0.05
_CHANGES = (_flip, _cut, _insert, _lines, _number, _number, _value, _value, *[_structure] * 6)
