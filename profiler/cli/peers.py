"""``profiler peers [NAME]``: the other counters, and how they are known to count."""

from __future__ import annotations

import sys

from profiler.cli.app import app
from profiler.peers import find
from profiler.peers import peers as catalogue
from profiler.report.peer_catalogue import details, overview


@app.command
def peers(name: str | None = None, /) -> None:
    """List the other counters that --against knows: installed or not, unit, convention, departures.

    Args:
        name: One of them, with every departure and its place in the source.
    """
    text = overview(catalogue().values()) if name is None else details(find(name))
    sys.stdout.write(text + "\n")
