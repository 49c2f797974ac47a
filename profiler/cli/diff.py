"""``profiler diff A B``: what changed between two profiles."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import note
from profiler.cli.training_options import FORWARD_ONLY, TrainingOptions
from profiler.errors import CheckFailedError
from profiler.guard import diff as compare
from profiler.report.profile_differences import difference_json, difference_text
from profiler.run.count_target import count_target
from profiler.tally import load
from profiler.util.files import write_whole


@app.command
def diff(
    before: str,
    after: str,
    /,
    *,
    batch: Annotated[int | None, Parameter(alias="-b")] = None,
    input: Annotated[tuple[str, ...], Parameter(alias="-i", consume_multiple=True)] = (),
    dtype: str | None = None,
    device: str = "auto",
    step: TrainingOptions = FORWARD_ONLY,
    fail_on_change: bool = False,
    format: Annotated[Literal["text", "json"], Parameter(alias="-f")] = "text",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
) -> None:
    """Show what changed between two profiles: modules added, removed and moved, operators, phases, memory.

    Args:
        before: A saved profile (a `.json` file), or a target such as `resnet18`.
        after: The same.
        batch: Size of the batch, for a target.
        input: Shape of an input, for a target: `3x224x224`, or `input_ids=1x2048`.
        dtype: Floating dtype, for a target.
        device: Where a target runs: `auto`, `meta`, `cpu` or `cuda`.
        step: What a training step is made of, for a target.
        fail_on_change: Exit with status 1 if anything changed.
        format: How to write it: text or json.
        output: A file to write instead of printing.
        quiet: Say nothing on stderr.
    """
    step.check()
    say = partial(note, quiet=quiet)
    count = partial(count_target, specs=input, batch=batch, dtype=dtype, device=device, notify=say, run=step.run)
    found = compare(*(load(name) if _is_saved(name) else count(name) for name in (before, after)))
    text = (difference_json if format == "json" else difference_text)(found, before, after)
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_whole(output, text)
    if fail_on_change and not found.is_empty:
        msg = f"{before} and {after} differ"
        raise CheckFailedError(msg)


def _is_saved(name: str) -> bool:
    """Say whether a word names a saved profile; a configuration is a file too, and is named ``hf:`` with its path."""
    return name.endswith(".json") and ":" not in name
