"""``profiler peers [NAME]``: the other counters, and how they are known to deviate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, OUTPUT, examples
from profiler.report.peer_catalogue import PEER_FORMATS, PeerList

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*PEER_FORMATS.names()]


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler peers",
        "profiler peers fvcore",
    ),
)
def peers(
    name: str | None = None,
    /,
    *,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
) -> None:
    """List the FLOP counters that `--against` can run.

    Shows version, unit, convention and known deviations of each.

    Args:
        name: Show only this counter, with each known deviation and its place in the counter's source.
        format: Output format.
        output: File to write the result to, instead of printing it.
    """
    from profiler.peers import all_peers, find_peer

    selection = list(all_peers().values()) if name is None else [find_peer(name)]
    emit(PEER_FORMATS.render(PeerList(selection, name is not None), format), output)
