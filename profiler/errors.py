"""Every error that profiler raises on purpose.

    ProfilerError                  status 2: the call, or a file, is wrong
    ├── UnknownNameError           no such model, format or preset; carries the nearest names
    ├── TargetError                a target cannot be built into a module
    ├── InputError                 an input specification cannot be read, or does not fit
    ├── InstallationError          a package is missing or does not match another
    ├── FormulaError               a formula is registered wrongly, or raised on a call
    ├── SavedProfileError          a file is not a profile that this version can read
    ├── OutputError                a result cannot be written
    ├── AmbiguousNameError         a name that several entries have; carries them
    ├── DeviceError                a device's file is wrong, or it lacks what is asked of it
    ├── PlanError                  a pipeline's file, a rate or a share is wrong
    ├── ExpressionError            a text is no formula; carries the column
    ├── DerivationError            no closed form can be given; says where it breaks
    ├── ClaimError                 a document's file is wrong, or a claim in it cannot be checked
    ├── PeerError                  another counter failed where a claim is about its figure
    ├── BudgetError                a file of budgets or a limit is wrong, or no profile can be held against it
    ├── BaselineError              a baseline is missing, broken, of another run, or was rewritten meanwhile
    ├── CheckFailedError           status 1: a limit is broken, or two profiles differ that should not
    └── ModelError                 status 3: the model itself failed
        └── UnsupportedModelError  the model hides its operators from the dispatcher

A message is one line: what was wrong, with the value, and what to do about it.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ProfilerError(Exception):
    """The root of the tree."""

    exit_status = 2


class UnknownNameError(ProfilerError):
    """A name that no catalogue holds."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Say the nearest of the *known* names, or all of them where they are few."""
        super().__init__(f"no {kind} named {name!r}; {_suggestion(name, sorted(known))}")


class TargetError(ProfilerError):
    """A target that names no module."""


class InputError(ProfilerError):
    """An input that cannot be read, or that does not fit the model."""


class InstallationError(ProfilerError):
    """A package that is missing, or that does not match another."""


class FormulaError(ProfilerError):
    """A formula that does not fit its operator."""


class SavedProfileError(ProfilerError):
    """A file that is not a saved profile, or not a whole one."""


class OutputError(ProfilerError):
    """A result that cannot be written."""


class ExpressionError(ProfilerError):
    """A text that is no formula of the language."""

    def __init__(self, message: str, column: int) -> None:
        """Keep the column, from 1, beside the message."""
        super().__init__(message)
        self.column = column


class DerivationError(ProfilerError):
    """A cost of which no closed form can be given."""


class AmbiguousNameError(ProfilerError):
    """A name that several entries of a catalogue have."""

    def __init__(self, kind: str, name: str, candidates: Iterable[str]) -> None:
        """List what it may mean."""
        super().__init__(f"{name!r} may be more than one {kind}: {', '.join(candidates)}; write one of these")


class DeviceError(ProfilerError):
    """A device that cannot be read, or that lacks what is asked of it."""


class PlanError(ProfilerError):
    """A pipeline, a rate or a share that cannot be planned with."""


class ClaimError(ProfilerError):
    """A claim that cannot be read or checked."""


class PeerError(ProfilerError):
    """Another counter that gave no figure, where a claim is about it."""


class BudgetError(ProfilerError):
    """A budget or a limit that is wrong, or that a profile cannot be held against."""


class BaselineError(ProfilerError):
    """A baseline that is missing, broken, of another run, or that was rewritten meanwhile."""


class CheckFailedError(ProfilerError):
    """A limit is broken, or two profiles differ that should not."""

    exit_status = 1


class ModelError(ProfilerError):
    """The model raised while it ran or while it was built."""

    exit_status = 3


class UnsupportedModelError(ModelError):
    """The model ran where its operators could not be seen."""


def one_line(error: BaseException) -> str:
    """Give the first line of a foreign error's message, with its type."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _suggestion(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    if len(known) <= 12:  # noqa: PLR2004 - as many as a line of text holds
        return f"known: {', '.join(known)}"
    return f"{len(known)} are known, such as {', '.join(known[:4])}"
