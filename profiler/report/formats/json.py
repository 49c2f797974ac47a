"""The JSON report is the saved profile itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.profile_formats import PROFILE_FORMATS

if TYPE_CHECKING:
    from profiler.report.report import Report


@PROFILE_FORMATS.register("json")
def json(report: Report) -> str:
    """Return the complete profile, the same text that ``Profile.save`` writes."""
    from profiler.tally.saved import to_json  # noqa: PLC0415 - pydantic builds the schema: a tenth of a second

    return to_json(report.profile)
