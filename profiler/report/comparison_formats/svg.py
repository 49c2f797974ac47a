"""Several models as an SVG image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.report.comparison_scatter import comparison_scatter
from profiler.report.comparisons import COMPARISON_FORMATS
from profiler.report.scatter_svg import scatter_svg

if TYPE_CHECKING:
    from profiler.report.comparisons import Comparison


@COMPARISON_FORMATS.register("svg")
def svg(comparison: Comparison) -> str:
    """Return an image of the models: MACs, and the accuracy or the parameters."""
    return scatter_svg(comparison_scatter(comparison), f"{len(comparison.rows)} models")
