"""Read TOML files that users write: budgets, claims, devices, pipelines."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from profiler.util.plain_data import check_plain, parse_errors
from profiler.util.text_files import read_text

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.errors import ProfilerError

#: The largest file that is read, and the most dots in a line: the parser's time grows as the square of a dotted key.
MAX_BYTES, _MAX_DOTS = 2**20, 200


def read_toml(path: Path, error_type: type[ProfilerError], hint: str) -> dict[str, Any]:
    """Read and parse a file.

    Args:
        path: The file.
        error_type: The class of the error to raise.
        hint: What the user should give instead, as in "a TOML file with tables [[claims]]".

    Raises:
        ProfilerError: The file cannot be read, is larger than 1 MiB, or is not TOML.
    """
    return parse_toml(read_toml_text(path, error_type, hint), path, error_type)


def read_toml_text(path: Path, error_type: type[ProfilerError], hint: str) -> str:
    """Read a file without parsing it; arguments and errors as for ``read_toml``."""
    return read_text(path, error_type, hint, MAX_BYTES)


def parse_toml(text: str, path: Path, error_type: type[ProfilerError]) -> dict[str, Any]:
    """Parse *text*, the content of the file *path*.

    Raises:
        ProfilerError: It is not TOML, is nested deeper than 100 levels, or holds a number that is not finite or has
            more than 40 digits.
    """
    if max(line.count(".") for line in text.split("\n")) > _MAX_DOTS:
        msg = f"{path} cannot be used: a line of it has more than {_MAX_DOTS} dots"
        raise error_type(msg)
    with parse_errors(path, "is not TOML", error_type):
        document = tomllib.loads(text)
        check_plain(document)
    return document
