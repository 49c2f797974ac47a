"""What the entry points have in common: rules of one's own are refused, not ignored."""

from __future__ import annotations

from profiler.errors import InputError


def reject_unsupported(name: str, given: object) -> None:
    """Refuse rules that were written for another engine.

    Raises:
        InputError: Something was given.
    """
    if given:
        msg = f"{name} has rules for another counter, of no use here; register a formula with @profiler.formula"
        raise InputError(msg)
