"""The fixture ``profile_model``: counts a model in a test and checks the profile against the test's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from profiler.errors import ProfilerError
from profiler.guard import Acceptance, Baselines, check, parse_limits
from profiler.report.checks import outcome_text
from profiler.report.profile_differences import acceptance_text
from profiler.run.forward import count
from profiler.values.renamed import warn_renamed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from profiler.guard import Baseline
    from profiler.tally import Profile

#: New baselines as plain text, which pytest-xdist can send from a worker to the controller; an empty text if unchanged.
Acceptances = list[dict[str, str]]


class ProfileModel:
    """The value of the fixture ``profile_model``.

    ``profile_model(model, *args, **kwargs)`` counts one forward pass, as `profiler.count` does, and returns the
    profile. ``profile_model.check(p)`` checks a profile counted in another way, such as one of a training step.

    In a test marked ``flop_budget`` both fail the test if the profile exceeds a limit. A test may check several
    profiles: each has its own baseline, numbered in the order of the checks.
    """

    def __init__(
        self, *, name: str, limits: Mapping[str, Any] | None, folder: Path, accepted: Acceptances | None
    ) -> None:
        """Check the profiles of one test.

        Args:
            name: The test's name, which is that of its baseline.
            limits: The arguments of the marker; None if the test is not marked.
            folder: The folder of the baselines.
            accepted: A list to append new baselines to, with ``--profiler-update``: relative limits are then not
                checked. None to check them.
        """
        self._name = name
        self._limits = limits
        self._baselines = Baselines(folder)
        self._accepted = accepted
        #: The profiles counted or checked so far.
        self.profiles: list[Profile] = []

    def __call__(self, model: nn.Module, *args: Any, **kwargs: Any) -> Profile:
        """Count one forward pass of *model*, check it against the limits of the test, and return the profile.

        Raises:
            ModelError: The model raised.
        """
        return self.check(count(model, *args, **kwargs))

    def check(self, profile: Profile) -> Profile:
        """Check *profile* against the limits of the test and return it; the test fails if one is exceeded."""
        self.profiles.append(profile)
        if self._limits is None:
            return profile
        number = len(self.profiles)
        name = self._name if number == 1 else f"{self._name} {number}"
        failure = self._failure(name, profile, self._limits)
        if failure:
            pytest.fail(failure, pytrace=False)
        return profile

    def hold(self, profile: Profile) -> Profile:
        """Call ``check``; the old name, which warns."""
        warn_renamed("profile_model.hold", "profile_model.check")
        return self.check(profile)

    def _failure(self, name: str, profile: Profile, limits: Mapping[str, Any]) -> str:
        """Return the report of a failed check, or why it could not be done; empty if it passed."""
        try:
            return self._check(name, profile, limits)
        except ProfilerError as error:
            return str(error)

    def _check(self, name: str, profile: Profile, limits: Mapping[str, Any]) -> str:
        """Return the report of a failed check; if it passed, note the new baseline where updates are on."""
        baseline = self._baselines.read(name)
        to_check = (limit for limit in parse_limits(limits) if self._accepted is None or not limit.is_relative)
        outcome = check(name, profile, to_check, baseline.profile)
        if not outcome.passed:
            return outcome_text(outcome)
        if self._accepted is not None:
            self._accepted += _acceptance(baseline, profile)
        return ""


def write_baselines(folder: Path, accepted: Acceptances) -> tuple[str, bool]:
    """Write the accepted baselines; return the text to show, and whether writing failed."""
    unique = {(row["file"], row["text"]): row for row in sorted(accepted, key=lambda row: row["file"]) if row["text"]}
    if not unique:
        return "", False
    baselines = Baselines(folder)
    for row in accepted:
        baselines.expect(row["file"], row["digest"])
    try:
        baselines.accept(Acceptance(row["file"], row["digest"], row["text"]) for row in unique.values())
    except ProfilerError as error:
        return f"error: {error}", True
    return "\n".join(row["shown"] for row in unique.values()), False


def _acceptance(baseline: Baseline, profile: Profile) -> Acceptances:
    """Return the new baseline as one row."""
    new = Acceptance.of(baseline, profile)
    if new is None:
        return [{"file": baseline.path.name, "digest": baseline.digest, "text": "", "shown": ""}]
    return [{"file": new.file, "digest": new.digest, "text": new.text, "shown": acceptance_text(baseline, profile)}]
