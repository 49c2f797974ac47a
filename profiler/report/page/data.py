"""``page_data()``: a report reduced to what the page's scripts draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.report.page.finding_views import peer_views
from profiler.report.page.measures import measures
from profiler.report.page.memory_view import memory_view
from profiler.report.page.module_graph import ModuleGraph
from profiler.report.page.roofline_view import roofline_views

if TYPE_CHECKING:
    from profiler.report.report import Report


def page_data(report: Report) -> dict[str, Any]:
    """Return the tables of a report: the folded modules, the memory's timeline, the rooflines and the peers.

    The result holds text, numbers and lists only, so that it can be written as JSON. An integer that JavaScript's
    numbers cannot hold exactly is text.
    """
    profile = report.profile
    columns = measures(profile)
    graph = ModuleGraph.of(profile.tree, columns)
    return {
        "heading": report.heading,
        "is_step": report.is_step,
        "measures": [measure.row for measure in columns],
        "nodes": graph.nodes,
        "memory": memory_view(profile.memory),
        "rooflines": roofline_views(profile),
        "peers": peer_views(profile.findings),
    }
