"""Read the integers in words of the command line: sizes, which fit into 64 bits."""

from __future__ import annotations

from profiler.errors import InputError
from profiler.escaping import quoted

#: Digits of an integer that fits into 64 bits, whatever they are.
MAX_DIGITS = 18


def read_integer(digits: str, word: str) -> int:
    """Return the integer that *digits* spell, in the word of which they are a part.

    Raises:
        InputError: There are more digits than a size can have.

    Example:
        >>> read_integer("224", "3x224x224")
        224
    """
    if len(digits) > MAX_DIGITS:
        msg = f"{quoted(word)} has a number of {len(digits)} digits; write at most {MAX_DIGITS}"
        raise InputError(msg)
    return int(digits)
