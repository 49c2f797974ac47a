"""Reject arguments that the replacements cannot support."""

from __future__ import annotations

from profiler.errors import InputError


def reject_unsupported(name: str, rules: object) -> None:
    """Raise if *rules*, an argument called *name* with counting rules for the original tool, is not empty.

    Raises:
        InputError: It is not empty.
    """
    if rules:
        msg = f"{name} is not supported: cost is counted by operator; register a formula with @profiler.formula"
        raise InputError(msg)
