"""``profiler view SAVED``: show a saved profile in any format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import ProfileFormat, show


@app.command
def view(
    saved: Path,
    /,
    *,
    depth: int = 2,
    format: Annotated[ProfileFormat, Parameter(alias="-f")] = "text",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> None:
    """Show a saved profile, in any format.

    Args:
        saved: A file that `--format json --output FILE` or `Profile.save` wrote.
        depth: Number of module levels that the tree shows.
        format: Output format.
        output: File to write the result to, instead of printing it.
    """
    from profiler.tally import load

    profile = load(saved)
    show(profile, title=profile.model, depth=depth, form=format, output=output)
