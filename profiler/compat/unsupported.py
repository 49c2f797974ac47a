"""Refuse arguments that the replacements cannot honour; code written for the originals can catch the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Collection


class OptionError(InputError, ValueError):
    """An option has a value that the original does not take, or that is not supported here."""


class ModuleNameError(UnknownNameError, KeyError):
    """The model has no module of this name. fvcore raises ``KeyError``."""

    __str__ = Exception.__str__  # KeyError would quote the message


def reject_unsupported(name: str, rules: object) -> None:
    """Raise if *rules*, an argument called *name* with counting rules for the original tool, is not empty.

    Raises:
        InputError: It is not empty.
    """
    if rules:
        msg = f"{name} is not supported: cost is counted by operator; register a formula with @profiler.formula"
        raise InputError(msg)


def check_option(name: str, value: object, allowed: Collection[object]) -> None:
    """Raise if *value*, an argument called *name*, is not one of the allowed values.

    Raises:
        OptionError: It is not.
    """
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}"
        raise OptionError(msg)
