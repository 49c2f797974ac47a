"""``profiler diff A B``: show what changed between two profiles."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.input_options import DEFAULT_INPUTS, InputOptions
from profiler.cli.output import emit, note
from profiler.cli.saved_profiles import is_saved
from profiler.cli.subjects import GUARD, MODEL, OUTPUT, examples
from profiler.cli.training_options import FORWARD_ONLY, TrainingOptions
from profiler.errors import CheckFailedError
from profiler.report.profile_differences import DIFF_FORMATS, DiffReport
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.tally import Profile

    Format = str
else:
    Format = Literal[*DIFF_FORMATS.names()]


@app.command(
    group=GUARD,
    help_epilogue=examples(
        "profiler diff resnet18 resnet34",
        "profiler diff resnet18 resnet34 --train --format json",
    ),
)
def diff(
    before: str,
    after: str,
    /,
    *,
    batch: Annotated[int | None, Parameter(alias="-b", group=MODEL)] = None,
    inputs: InputOptions = DEFAULT_INPUTS,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    device: Annotated[str, Parameter(group=MODEL)] = "auto",
    step: TrainingOptions = FORWARD_ONLY,
    fail_on_change: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Show what changed between two profiles.

    Shows modules added, removed and renamed, operators, phases and memory.

    Args:
        before: A saved profile (a `.json` file), or a target such as `resnet18`.
        after: A saved profile or a target, as for BEFORE.
        batch: Batch size, for a target.
        inputs: What a target is called with.
        dtype: Floating-point dtype, for a target.
        device: Where a target runs: `auto`, `meta`, `cpu` or `cuda`.
        step: The training step, for a target.
        fail_on_change: Exit with status 1 if anything changed.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    from profiler.guard import diff as compare
    from profiler.tally import load

    step.check()
    notify = partial(note, quiet=quiet)

    def count(target: str) -> Profile:
        import_quickly("torch")
        from profiler.run.count_target import count_target

        return count_target(
            target, specs=inputs.specs, batch=batch, dtype=dtype, device=device, notify=notify, run=step.run
        )

    difference = compare(*(load(name) if is_saved(name) else count(name) for name in (before, after)))
    emit(DIFF_FORMATS.render(DiffReport(difference, before, after), format), output)
    if fail_on_change and not difference.is_empty:
        msg = f"{before} and {after} differ"
        raise CheckFailedError(msg)
