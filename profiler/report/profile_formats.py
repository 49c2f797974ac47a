"""``render()``: a profile in any format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.registry import Formats
from profiler.report.report import Report

if TYPE_CHECKING:
    from profiler.tally import Profile

#: The formats of a profile: one file each in ``report/formats``.
PROFILE_FORMATS = Formats[Report]("profiler.report.formats")
#: How many levels of modules the tree shows by default.
DEPTH = 2


def render(profile: Profile, name: str = "text", *, title: str = "", depth: int = DEPTH, command: str = "") -> str:
    """Write *profile* in a format.

    Args:
        profile: What to write.
        name: One of ``PROFILE_FORMATS.names()``.
        title: What to call the profile; by default the model's class.
        depth: How many levels of modules the tree shows.
        command: The command that made the profile, for the page to show.

    Raises:
        UnknownNameError: There is no such format.
    """
    return PROFILE_FORMATS.render(Report(profile, title or profile.model, depth, command), name)
