"""The error for a part of a saved program whose loading could run code."""

from __future__ import annotations

_SHOWN = 60


class UnsafeProgramError(ValueError):
    """A part of a saved program could run code when it is loaded; the message says which, without the file's name."""


def shown(text: object) -> str:
    """Return a text in quotes for a message, shortened if it is long."""
    words = str(text)
    return repr(words if len(words) <= _SHOWN else words[:_SHOWN] + "…")
