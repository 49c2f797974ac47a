"""The report of a profile for ``rich.print``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.formats.text import renderable
from profiler.report.report import Report

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from profiler.tally import Profile


class RichReport:
    """The report of a profile, which a console of rich shows in its own width."""

    def __init__(self, profile: Profile) -> None:
        """Show *profile*, under the name of its model."""
        self._report = Report(profile, profile.model)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the report."""
        yield renderable(self._report, options.max_width)
