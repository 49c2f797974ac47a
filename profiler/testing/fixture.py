"""Count a model in a test, and hold it against the test's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from profiler.errors import ProfilerError
from profiler.guard import Acceptance, Baselines, check, parse_limits
from profiler.report.checks import outcome_text
from profiler.report.profile_differences import acceptance_text
from profiler.run.forward import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from profiler.guard import Baseline
    from profiler.tally import Profile

#: What tests accepted, as plain text: pytest-xdist carries it from a worker to the controller.
Acceptances = list[dict[str, str]]


class ProfileModel:
    """What the fixture ``profile_model`` gives to a test.

    ``profile_model(model, *args, **kwargs)`` counts one forward pass, as ``profiler.count`` does;
    ``profile_model.hold(p)`` takes a profile made in another way, of a training step for instance. Each of several
    profiles in a test has a baseline of its own, by its place in the test.
    """

    def __init__(
        self, *, name: str, limits: Mapping[str, Any] | None, folder: Path, accepted: Acceptances | None
    ) -> None:
        """Hold profiles against *limits*; where *accepted* is a list, the relative ones are accepted instead."""
        self._name = name
        self._limits = limits
        self._baselines = Baselines(folder)
        self._accepted = accepted
        self.profiles: list[Profile] = []

    def __call__(self, model: nn.Module, *args: Any, **kwargs: Any) -> Profile:
        """Count one forward pass of *model*, and hold it against the limits of the test."""
        return self.hold(count(model, *args, **kwargs))

    def hold(self, profile: Profile) -> Profile:
        """Hold a profile against the limits of the test; it fails where one is broken."""
        self.profiles.append(profile)
        if self._limits is None:
            return profile
        number = len(self.profiles)
        name = self._name if number == 1 else f"{self._name} {number}"
        failure = self._failure(name, profile, self._limits)
        if failure:
            pytest.fail(failure, pytrace=False)
        return profile

    def _failure(self, name: str, profile: Profile, written: Mapping[str, Any]) -> str:
        """Say what is broken, or why nothing can be held; accept the profile where that is asked for."""
        try:
            return self._hold(name, profile, written)
        except ProfilerError as error:
            return str(error)

    def _hold(self, name: str, profile: Profile, written: Mapping[str, Any]) -> str:
        baseline = self._baselines.read(name)
        limits = (limit for limit in parse_limits(written) if self._accepted is None or not limit.is_relative)
        outcome = check(name, profile, limits, baseline.profile)
        if not outcome.passed:
            return outcome_text(outcome)
        if self._accepted is not None:
            self._accepted += _acceptance(baseline, profile)
        return ""


def write(folder: Path, accepted: Acceptances) -> tuple[str, bool]:
    """Write the accepted baselines; give what to show, and whether they were refused."""
    unique = {(one["file"], one["text"]): one for one in sorted(accepted, key=lambda one: one["file"])}
    try:
        Baselines(folder).accept(Acceptance(one["file"], one["digest"], one["text"]) for one in unique.values())
    except ProfilerError as error:
        return f"error: {error}", True
    return "\n".join(one["shown"] for one in unique.values()), False


def _acceptance(baseline: Baseline, profile: Profile) -> Acceptances:
    new = Acceptance.of(baseline, profile)
    if new is None:
        return []
    return [{"file": new.file, "digest": new.digest, "text": new.text, "shown": acceptance_text(baseline, profile)}]
