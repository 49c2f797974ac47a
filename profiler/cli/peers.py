"""``profiler peers [NAME]``: the other counters, and how they are known to deviate."""

from __future__ import annotations

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, examples
from profiler.report.peer_catalogue import details, overview


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler peers",
        "profiler peers fvcore",
    ),
)
def peers(name: str | None = None, /) -> None:
    """List the FLOP counters that `--against` can run.

    Shows version, unit, convention and known deviations of each.

    Args:
        name: Show only this counter, with each known deviation and its place in the counter's source.
    """
    from profiler.peers import all_peers, find_peer

    text = overview(all_peers().values()) if name is None else details(find_peer(name))
    emit(text + "\n", None)
