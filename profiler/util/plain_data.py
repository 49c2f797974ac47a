"""What every reader of data files refuses, whatever the format: deep nesting, and numbers that no figure can be.

Values of the right types and fields are checked by pydantic, in the file that says what the data mean.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

    from profiler.errors import ProfilerError

#: Levels of tables and lists, and digits of an integer.
MAX_DEPTH, MAX_DIGITS = 100, 40
_LARGEST = 10**MAX_DIGITS


class PlainDataError(ValueError):
    """A data file holds what no reader accepts; the message says what, without the file's name."""


def check_plain(document: Any) -> None:
    """Raise if a parsed document is nested too deeply, or holds a number that is too large or not finite.

    Raises:
        PlainDataError: It is, or does.
    """
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        for value in level:
            _check_number(value)
        level = [inner for value in level for inner in _inner(value)]
        if not level:
            return
    msg = f"it is nested deeper than {MAX_DEPTH} levels"
    raise PlainDataError(msg)


@contextmanager
def parse_errors(source: object, malformed: str, error_type: type[ProfilerError]) -> Iterator[None]:
    """Raise what a parser or `check_plain` raises in the block as an error of the caller, in one line.

    Args:
        source: The file, for the message.
        malformed: What a file is that the parser does not accept, as in "is not TOML".
        error_type: The class of the error to raise.

    Raises:
        ProfilerError: The file cannot be parsed, or holds what no reader accepts.
    """
    try:
        yield
    except RecursionError as error:
        msg = f"{source} cannot be used: it is nested deeper than {MAX_DEPTH} levels"
        raise error_type(msg) from error
    except PlainDataError as error:
        msg = f"{source} cannot be used: {error}"
        raise error_type(msg) from error
    except ValueError as error:  # of the parser, or of an integer with thousands of digits
        msg = f"{source} {malformed} ({error})"
        raise error_type(msg) from error


def first_problem(error: ValidationError) -> str:
    """Return the first problem that pydantic found: the place, and what is wrong there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _check_number(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"it holds the number {value}; only finite numbers are read"
        raise PlainDataError(msg)
    if isinstance(value, int) and abs(value) >= _LARGEST:
        msg = f"it holds an integer of more than {MAX_DIGITS} digits"
        raise PlainDataError(msg)
