"""Every error that profiler raises on purpose.

    ProfilerError                  exit status 2: the call or a file is wrong
    ├── UnknownNameError           no model, format, preset … of this name; the message has the nearest names
    │   └── UnknownKeyError        likewise, and a KeyError: a table of a profile has no such key
    ├── TargetError                a target cannot be resolved to a module
    ├── InputError                 an input or an option cannot be read, or does not fit the model
    ├── OverlapError               profiles overlap in a way in which each counts the other's work
    ├── InstallationError          a package is missing, or its version does not match
    ├── FormulaError               a formula does not match its operator's schema, or raised
    ├── SavedProfileError          a file is not a profile that this version can read
    ├── OutputError                a result cannot be written
    ├── AmbiguousNameError         a name matches several entries of a catalogue; the message lists them
    ├── DeviceError                a device's file is wrong, or the device lacks a figure
    ├── PlanError                  a pipeline's file, a rate or a utilisation is wrong
    ├── ExpressionError            a formula or quantity cannot be parsed; has the column
    ├── DerivationError            no closed form can be derived
    ├── ClaimError                 a document's file is wrong, or a claim in it cannot be checked
    ├── PeerError                  another counter returned no figure for a claim about it
    ├── BudgetError                a budget file or a limit is wrong, or does not apply to the profile
    ├── BaselineError              a baseline is missing or damaged, does not match the run, or changed meanwhile
    ├── CheckFailedError           exit status 1: a check failed: a limit, a comparison, a claim
    └── ModelError                 exit status 3: the model raised
        └── UnsupportedModelError  the model runs where its operators cannot be recorded

A message is one line: what was wrong, with the value, and what to do about it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from profiler.escaping import message_line, quoted, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable


#: The longest name and the longest message of another error that are quoted whole, in characters.
_NAME, _QUOTED_MESSAGE = 100, 300


class ProfilerError(Exception):
    """Base class of all errors that profiler raises on purpose."""

    #: The exit status of the command line for this error.
    exit_status = 2

    def __str__(self) -> str:
        """Return the message as one line that any terminal can show, with long values shortened."""
        return message_line(super().__str__())


class UnknownNameError(ProfilerError):
    """A name is in no catalogue."""

    def __init__(self, kind: str, name: str, known: Iterable[str], near: Iterable[str] = ()) -> None:
        """Write a message with the names that are *near*, or else with those in *known* that are spelled alike."""
        super().__init__(f"no {kind} named {quoted(name, _NAME)}; {_suggestion(name, sorted(known), list(near))}")


class UnknownKeyError(UnknownNameError, KeyError):
    """A table of a profile has no such key: also a ``KeyError``, as for any dictionary."""

    def __str__(self) -> str:
        """Return the message as the other errors do; a ``KeyError`` would put it in quotes."""
        return message_line(str(self.args[0]))


class TargetError(ProfilerError):
    """A target cannot be resolved to a module."""


class InputError(ProfilerError):
    """An input or an option cannot be read, or does not fit the model."""


class OverlapError(ProfilerError):
    """Profiles overlap in a way in which each counts the other's work."""


class InstallationError(ProfilerError):
    """A package is missing, or its version does not match another package."""


class FormulaError(ProfilerError):
    """A formula does not match its operator's schema, or raised on a call."""


class SavedProfileError(ProfilerError):
    """A file is not a saved profile, or was cut short."""


class OutputError(ProfilerError):
    """A result cannot be written."""


class ExpressionError(ProfilerError):
    """A formula or quantity cannot be parsed."""

    def __init__(self, message: str, column: int) -> None:
        """Store the column of the error, counted from 1."""
        super().__init__(message)
        self.column = column


class DerivationError(ProfilerError):
    """No closed form can be derived."""


class AmbiguousNameError(ProfilerError):
    """A name matches several entries of a catalogue."""

    def __init__(self, kind: str, name: str, candidates: Iterable[str]) -> None:
        """Write a message that lists the candidates."""
        super().__init__(
            f"{quoted(name, _NAME)} matches more than one {kind}: {', '.join(candidates)}; write one of these"
        )


class DeviceError(ProfilerError):
    """A device's file is wrong, or the device lacks a figure that is needed."""


class PlanError(ProfilerError):
    """A pipeline, a rate or a utilisation cannot be used for a projection."""


class ClaimError(ProfilerError):
    """A document's file is wrong, or a claim in it cannot be checked."""


class PeerError(ProfilerError):
    """Another counter returned no figure for a claim about it."""


class BudgetError(ProfilerError):
    """A budget file or a limit is wrong, or does not apply to the profile."""


class BaselineError(ProfilerError):
    """A baseline is missing or damaged, belongs to another run, or was changed by another process."""


class CheckFailedError(ProfilerError):
    """A check failed: a limit is exceeded, profiles differ, or a claim does not hold."""

    exit_status = 1


class ModelError(ProfilerError):
    """The model raised while it was built or run; the original error is the ``__cause__``."""

    exit_status = 3


class UnsupportedModelError(ModelError):
    """The model runs where its operators cannot be recorded, such as in a fused TorchScript kernel."""


def one_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, to quote it in another message."""
    first = shorten(next((line.strip() for line in str(error).splitlines() if line.strip()), ""), _QUOTED_MESSAGE)
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _suggestion(name: str, known: list[str], near: list[str]) -> str:
    if len(name) <= _NAME:
        near = near or get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    if not known:
        return "none is known"
    if len(known) <= 12:  # noqa: PLR2004 - as many as fit on a line
        return f"known: {', '.join(known)}"
    bare = {n.rpartition(":")[2].lower(): n for n in known}
    nearest = get_close_matches(name[:_NAME].rpartition(":")[2].lower(), bare, n=3, cutoff=0)
    return f"{len(known)} are known; the nearest are {', '.join(bare[n] for n in nearest)}"
