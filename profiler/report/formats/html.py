"""The report as one HTML file that opens offline: pictures, and the table of the modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.profile_formats import PROFILE_FORMATS

if TYPE_CHECKING:
    from profiler.report.report import Report


@PROFILE_FORMATS.register("html")
def html(report: Report) -> str:
    """Return a page that needs no other file and no network."""
    from profiler.report.page.render import render_page  # noqa: PLC0415 - jinja2 and plotly's script are for this format alone

    return render_page([report], report.title)
