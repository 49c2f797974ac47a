"""Deprecated names: old names of public functions and classes still work, with a warning, for one release."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str) -> None:
    """Emit a ``DeprecationWarning`` that *old* is now called *new*, located at the line that uses the old name."""
    warnings.warn(
        f"{old} is now {new}; the old name will be removed in the next release", DeprecationWarning, stacklevel=3
    )
