"""The JSON report is the saved profile itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.tally.saved import to_json

if TYPE_CHECKING:
    from profiler.report.report import Report


@PROFILE_FORMATS.register("json")
def json(report: Report) -> str:
    """Return the complete profile, the same text that ``Profile.save`` writes."""
    return to_json(report.profile)
