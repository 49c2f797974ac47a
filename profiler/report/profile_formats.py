"""``render()``: a profile in any format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.registry import Formats
from profiler.report.report import Report

if TYPE_CHECKING:
    from profiler.tally import Profile

#: The formats of a profile: one file each in ``report/formats``.
PROFILE_FORMATS = Formats[Report]("profiler.report.formats")


def render(
    profile: Profile, name: str = "text", *, title: str = "", depth: int | None = None, command: str = ""
) -> str:
    """Write *profile* in a format.

    Args:
        profile: What to write.
        name: One of ``PROFILE_FORMATS.names()``.
        title: What to call the profile; by default the model's class.
        depth: How many levels of modules to show; by default two, and all of them in CSV.
        command: The command that made the profile, for the page to show.

    Raises:
        UnknownNameError: There is no such format.
    """
    return PROFILE_FORMATS.render(Report(profile, title or profile.model, depth, command), name)
