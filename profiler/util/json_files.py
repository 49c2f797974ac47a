"""Read JSON files that users give: saved profiles, baselines, configurations of models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profiler.util.plain_data import MAX_DIGITS, PlainDataError, check_plain, parse_errors
from profiler.util.text_files import decode, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.errors import ProfilerError

#: The largest file that is read. A saved profile of a model with 10,000 modules has about 30 MiB.
MAX_BYTES = 256 * 2**20


def read_json_text(path: str | Path, error_type: type[ProfilerError], hint: str) -> str:
    """Read a file without parsing it.

    Args:
        path: The file.
        error_type: The class of the error to raise.
        hint: What the user should give instead.

    Raises:
        ProfilerError: The file cannot be read, is larger than 256 MiB, or is not UTF-8.
    """
    return read_text(path, error_type, hint, MAX_BYTES)


def decode_json(data: bytes, path: str | Path, error_type: type[ProfilerError], hint: str) -> str:
    """Return the text of a file that was read as bytes; arguments and errors as for ``read_json_text``."""
    return decode(data, path, error_type, hint)


def parse_json(text: str, source: str | Path, error_type: type[ProfilerError]) -> Any:
    """Parse *text*, the content of *source*.

    Raises:
        ProfilerError: It is not JSON, repeats a key, is nested deeper than 100 levels, or holds a number that is not
            finite or has more than 40 digits.
    """
    with parse_errors(source, "is not JSON, or was cut short", error_type):
        document = json.loads(text, parse_int=_integer, object_pairs_hook=_object)
        check_plain(document)
    return document


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:
        msg = f"it holds an integer of more than {MAX_DIGITS} digits"
        raise PlainDataError(msg)
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        msg = f"it holds the key {twice!r} twice in one object"
        raise PlainDataError(msg)
    return table
