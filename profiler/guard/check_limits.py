"""Check a profile against its limits, and find where a broken one grew."""

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
    """One limit, and the figure that was compared with it."""

    limit: Limit
    value: int
    #: The figure of the baseline, where there is one.
    baseline: int | None
    #: For a broken limit: where the figure changed since the baseline, or else where it arises; largest first.
    where: tuple[Change, ...] = ()

    @property
    def most(self) -> int:
        """The largest figure allowed."""
        return self.limit.most(self.baseline or 0)

    @property
    def least(self) -> int:
        """The smallest figure allowed."""
        return self.limit.least(self.baseline or 0)

    @property
    def excess(self) -> int:
        """How far the figure exceeds the largest allowed; negative if it is below the smallest; 0 if it passes."""
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
    """Check *profile* against *limits*; relative limits refer to *baseline*.

    Raises:
        BaselineError: A limit is relative and there is no baseline, or the baseline has other inputs.
        BudgetError: The profile does not have a figure.
    """
    limits = tuple(limits)
    _require_same_run(name, profile, baseline, limits)
    if baseline is not None and baseline.inputs != profile.inputs:
        baseline = None  # absolute limits need none, and a profile of other inputs explains no change
    mapping = None if baseline is None else ModuleMapping.of(baseline, profile)
    return Outcome(name, profile, baseline, tuple(_check(profile, limit, baseline, mapping) for limit in limits))


def _check(profile: Profile, limit: Limit, baseline: Profile | None, mapping: ModuleMapping | None) -> Check:
    value = value_of(profile, limit.metric)
    if baseline is None or mapping is None:
        check = Check(limit, value, None)
        return check if check.passed else Check(limit, value, None, _largest(profile, limit))
    whole = limit.metric.part in {"", "devices"}
    before = value_of(baseline, limit.metric) if whole else sum(amounts(baseline, limit.metric).values())
    check = Check(limit, value, before)
    if check.passed:
        return check
    changed = changes(baseline, profile, limit.metric, mapping)
    return Check(limit, value, before, changed or _largest(profile, limit))


def _largest(profile: Profile, limit: Limit) -> tuple[Change, ...]:
    """Return where a figure arises, as if all of it were new."""
    places = (Change(place, 0, amount) for place, amount in amounts(profile, limit.metric).items())
    return tuple(sorted(places, key=lambda c: (-c.after, c.place)))


def _require_same_run(name: str, profile: Profile, baseline: Profile | None, limits: tuple[Limit, ...]) -> None:
    relative = next((limit for limit in limits if limit.is_relative), None)
    if relative is None:
        return
    if baseline is None:
        written = f"{relative.metric.label} = {relative.written!r}"
        msg = f"{name!r} has no baseline for `{written}`; {_UPDATE} to accept this run as the first"
        raise BaselineError(msg)
    if baseline.inputs != profile.inputs:
        msg = f"the baseline of {name!r} is of other inputs; use the same inputs, or {_UPDATE} to accept these"
        raise BaselineError(msg)
