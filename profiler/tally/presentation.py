"""How a profile is shown, saved and handed on: as text, in a notebook, as a dictionary, as tables of other tools."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import plain, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.tally.profile import Profile

_LONGEST = 120


class Presentation(ABC):
    """What shows ``result``, a profile: the profile itself, or what holds one."""

    __slots__ = ()

    @property
    @abstractmethod
    def result(self) -> Profile:
        """The profile to show."""

    def save(self, path: str | Path) -> None:
        """Write the profile to a JSON file (schema ``profiler/1``), whole or not at all; ``profiler.load`` reads it.

        Raises:
            OutputError: The file cannot be written.
        """
        from profiler.tally.saved import save  # noqa: PLC0415 - saved.py is built on this file

        save(self.result, path)

    def __str__(self) -> str:
        """Return the text report, with the tree of modules down to two levels below the root."""
        from profiler.report import render  # noqa: PLC0415 - a report is built on a profile; only this asks for one

        return render(self.result, "text")

    def __repr__(self) -> str:
        """Return the model, its input and the totals in one line."""
        return f"<Profile of {summary(self.result)}>"


def summary(profile: Profile) -> str:
    """Return a profile in one line: the model, its inputs, its device, and the totals."""
    from profiler.report import Report  # noqa: PLC0415 - as above

    report = Report(profile, profile.model, 0)
    totals = profile.totals
    figures = [
        report.at_least + units.count(totals.macs, "MAC"),
        report.at_least + units.count(totals.flops, "FLOP"),
        units.count(totals.params, "parameter"),
    ]
    return f"{shorten(plain(report.heading), _LONGEST)}: {', '.join(figures)}"
