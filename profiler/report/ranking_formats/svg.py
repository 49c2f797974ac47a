"""A ranking of devices as an SVG image: the rate against the rated power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.ranking_scatter import ranking_scatter
from profiler.report.rankings import RANKING_FORMATS, answer
from profiler.report.scatter_svg import scatter_svg

if TYPE_CHECKING:
    from profiler.report.rankings import RankingReport


@RANKING_FORMATS.register("svg")
def svg(report: RankingReport) -> str:
    """Return an image of the devices."""
    return scatter_svg(ranking_scatter(report), answer(report))
