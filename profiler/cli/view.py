"""``profiler view SAVED``: show a saved profile in any format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import ProfileFormat, show
from profiler.cli.subjects import COUNT, OUTPUT, examples


@app.command(
    group=COUNT,
    help_epilogue=examples(
        "profiler view resnet18.json",
        "profiler view resnet18.json --format html --output resnet18.html",
    ),
)
def view(
    saved: Path,
    /,
    *,
    depth: Annotated[int | None, Parameter(group=OUTPUT)] = None,
    format: Annotated[ProfileFormat, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
) -> None:
    """Show a saved profile, in any format.

    Args:
        saved: A file that `--format json --output FILE` or `Profile.save` wrote.
        depth: Number of module levels to show; by default 2, and all of them in CSV.
        format: Output format.
        output: File to write the result to, instead of printing it.
    """
    from profiler.tally import load

    profile = load(saved)
    show(profile, title=profile.model, depth=depth, form=format, output=output)
