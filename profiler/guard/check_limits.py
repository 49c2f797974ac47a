"""Hold a profile against its limits, and say what grew where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import BaselineError
from profiler.guard.differences import Change, changes
from profiler.guard.metrics import amounts, value_of
from profiler.guard.module_matching import ModuleMapping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.guard.limits import Limit
    from profiler.tally import Profile

_UPDATE = "run with --update (in pytest: --profiler-update)"


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, and the figure that was held against it."""

    limit: Limit
    value: int
    #: The figure of the baseline, where there is one.
    baseline: int | None
    #: Of a broken limit: where the figure changed against the baseline, or where it is if it did not; largest first.
    where: tuple[Change, ...] = ()

    @property
    def most(self) -> int:
        """The largest figure that is allowed."""
        return self.limit.most(self.baseline or 0)

    @property
    def least(self) -> int:
        """The smallest figure that is allowed."""
        return self.limit.least(self.baseline or 0)

    @property
    def excess(self) -> int:
        """How far the figure is over what is allowed; negative where it is below the least, 0 where it passes."""
        return max(0, self.value - self.most) or min(0, self.value - self.least)

    @property
    def passed(self) -> bool:
        """Whether the limit holds."""
        return self.excess == 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """All limits of one budget."""

    name: str
    profile: Profile
    baseline: Profile | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every limit holds."""
        return all(check.passed for check in self.checks)


def check(name: str, profile: Profile, limits: Iterable[Limit], baseline: Profile | None = None) -> Outcome:
    """Hold *profile* against *limits*; relative ones are of *baseline*.

    Raises:
        BaselineError: A limit is relative and there is no baseline, or it is of another input.
        BudgetError: The profile does not have a figure.
    """
    limits = tuple(limits)
    _refuse_other_run(name, profile, baseline, limits)
    if baseline is not None and baseline.inputs != profile.inputs:
        baseline = None  # absolute limits hold without one, and this one explains nothing
    moved = None if baseline is None else ModuleMapping.of(baseline, profile)
    return Outcome(name, profile, baseline, tuple(_check(profile, limit, baseline, moved) for limit in limits))


def _check(profile: Profile, limit: Limit, baseline: Profile | None, moved: ModuleMapping | None) -> Check:
    value = value_of(profile, limit.metric)
    if baseline is None or moved is None:
        held = Check(limit, value, None)
        return held if held.passed else Check(limit, value, None, _largest(profile, limit))
    whole = limit.metric.part in {"", "devices"}
    before = value_of(baseline, limit.metric) if whole else sum(amounts(baseline, limit.metric).values())
    held = Check(limit, value, before)
    if held.passed:
        return held
    changed = changes(baseline, profile, limit.metric, moved)
    return Check(limit, value, before, changed or _largest(profile, limit))


def _largest(profile: Profile, limit: Limit) -> tuple[Change, ...]:
    """Say where a figure is, as though all of it were new."""
    found = (Change(place, 0, amount) for place, amount in amounts(profile, limit.metric).items())
    return tuple(sorted(found, key=lambda c: (-c.after, c.place)))


def _refuse_other_run(name: str, profile: Profile, baseline: Profile | None, limits: tuple[Limit, ...]) -> None:
    relative = next((limit for limit in limits if limit.is_relative), None)
    if relative is None:
        return
    if baseline is None:
        written = f"{relative.metric.label} = {relative.written!r}"
        msg = f"{name!r} has no baseline for `{written}`; {_UPDATE} to accept this run as the first"
        raise BaselineError(msg)
    if baseline.inputs != profile.inputs:
        msg = f"the baseline of {name!r} is of other inputs; give the same, or {_UPDATE} to accept these"
        raise BaselineError(msg)
