"""``profiler sweep PATTERN… --output FILE``: count many models at many sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import counting, note
from profiler.cli.subjects import COUNT, MODEL, OUTPUT, examples
from profiler.errors import InputError


@app.command(
    group=COUNT,
    help_epilogue=examples(
        "profiler sweep resnet18 --batch 1,8 --output sizes.csv",
        "profiler sweep 'torchvision:squeezenet*' --input 128 --output squeezenet.csv",
    ),
)
def sweep(
    patterns: tuple[str, ...],
    /,
    *,
    output: Annotated[tuple[Path, ...], Parameter(alias="-o", group=OUTPUT)],
    batch: Annotated[str, Parameter(alias="-b", group=MODEL)] = "",
    input: Annotated[str, Parameter(alias="-i", group=MODEL)] = "",
    dtype: Annotated[str, Parameter(group=MODEL)] = "",
    train: bool = False,
    optimizer: str | None = None,
    jobs: int = -1,
    timeout: float = 300,
    memory: float | None = None,
    cluster: str | None = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Count many models at many sizes into one file.

    Every combination of batch sizes, inputs and dtypes runs in a process of its own. Rows are kept beside the output
    as soon as they are there: the same command goes on where it was stopped. A model that fails, crashes or takes too
    long is a row too.

    Args:
        patterns: Models or patterns of their names, such as `resnet18`, `torchvision:*` or `timm:vit*`.
        output: File to write, whose name ends in .csv, .parquet or .html (a page with a picture). Give it again for
            another file of the same rows.
        batch: Batch sizes, such as `1,8`.
        input: Sizes of the first input, such as `224,384`: of a square image, or the length of a sequence; or input
            specifications, such as `3x224x192`.
        dtype: Floating-point dtypes, such as `float32,bfloat16`.
        train: Count a training step instead of a forward pass.
        optimizer: With --train: count the step of this optimizer too.
        jobs: Number of processes at a time; -1 for one per core.
        timeout: Seconds that a combination may take.
        memory: GiB of address space that a combination may use; Linux and macOS.
        cluster: Address of a Dask scheduler to run on, such as `tcp://host:8786`.
        quiet: Print nothing on stderr.
    """
    if optimizer is not None and not train:
        msg = "--optimizer applies to a training step only; add --train"
        raise InputError(msg)
    if timeout <= 0 or (memory is not None and memory <= 0) or jobs == 0:
        msg = "--timeout and --memory must be above 0, and --jobs a number of processes or -1"
        raise InputError(msg)
    from profiler.report.sweep_files import write_sweep
    from profiler.report.sweep_table import check_ending, summary
    from profiler.run.sweep import run_sweep
    from profiler.run.sweep_journal import SweepJournal
    from profiler.run.sweep_points import sweep_points
    from profiler.run.sweep_process import Limits, can_limit_memory

    if memory is not None and not can_limit_memory():
        msg = "this system cannot limit the memory of a process; leave --memory out"
        raise InputError(msg)
    for path in output:
        check_ending(path)
    points = sweep_points(
        patterns,
        batches=_batches(batch),
        inputs=_words(input),
        dtypes=_words(dtype),
        optimizer=(optimizer or "") if train else None,
    )
    limits = Limits(timeout, None if memory is None else int(memory * 2**30))
    journal = SweepJournal(output[0])
    with counting("combinations counted", len(points), quiet=quiet) as bar:
        rows = run_sweep(
            points,
            limits,
            journal,
            jobs=jobs,
            cluster=cluster,
            on_row=lambda done, _: bar.reach(done),
        )
    for path in output:
        write_sweep(rows, path)
    journal.remove()
    note(f"{len(rows)} rows in {', '.join(map(str, output))}: {summary(rows)}", quiet=quiet)


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _batches(text: str) -> tuple[int, ...]:
    """Return the batch sizes.

    Raises:
        InputError: One is no positive integer.
    """
    for word in _words(text):
        if not (word.isascii() and word.isdigit() and int(word)):
            msg = f"the batch size {word!r} is no positive integer; write for example --batch 1,8"
            raise InputError(msg)
    return tuple(map(int, _words(text)))
