"""Names that are separated by commas, as in ``--on l4,rtx-4090``."""

from __future__ import annotations

from profiler.errors import InputError
from profiler.escaping import quoted


def split_names(text: str) -> list[str]:
    """Return the names in a text.

    Raises:
        InputError: A name is empty.

    Example:
        >>> split_names("l4, rtx-4090")
        ['l4', 'rtx-4090']
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        msg = f"{quoted(text)} has an empty name; write names separated by commas"
        raise InputError(msg)
    return names
