"""``profiler compare A B C``: several models in one table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.input_options import DEFAULT_INPUTS, InputOptions
from profiler.cli.name_lists import split_names
from profiler.cli.output import counting, emit, note
from profiler.cli.peer_options import NO_PEERS, PeerOptions
from profiler.cli.saved_profiles import is_saved
from profiler.cli.subjects import COUNT, MODEL, OUTPUT, examples
from profiler.errors import CheckFailedError, InputError
from profiler.report.comparisons import COMPARISON_FORMATS, Comparison
from profiler.util.permissions import with_permissions
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.cli.output import Bar
    from profiler.tally import Profile

    Format = str
else:
    Format = Literal[*COMPARISON_FORMATS.names()]


@app.command(
    group=COUNT,
    help_epilogue=examples(
        "profiler compare resnet18 mobilenet_v3_large",
        "profiler compare resnet18 resnet50 --on l4,orin-nx-16gb --format markdown",
    ),
)
def compare(
    *targets: str,
    on: str | None = None,
    precision: str | None = None,
    batch: Annotated[int | None, Parameter(alias="-b", group=MODEL)] = None,
    inputs: InputOptions = DEFAULT_INPUTS,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    device: Annotated[str, Parameter(group=MODEL)] = "auto",
    peers: PeerOptions = NO_PEERS,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Compare several models in one table.

    A model is a row; the best value of a column is marked.

    Args:
        targets: The models, as for the default command, or saved profiles (`.json` files).
        on: Devices, separated by commas; adds the estimated time of a pass on each.
        precision: The precision of these estimates, such as int8; by default the model's own.
        batch: Batch size.
        inputs: What the models are called with.
        dtype: Floating-point dtype of the models.
        device: Where the models run: `auto`, `meta`, `cpu` or `cuda`.
        peers: Other counters; adds the number that each reports.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    peers.check_for_several_models()
    if not targets:
        msg = "there is no model to compare; name some, as in `profiler compare resnet18 resnet50`"
        raise InputError(msg)
    saved = next(filter(is_saved, targets), None)
    if saved is not None and peers.against is not None:
        msg = f"--against needs the models themselves, and {saved} is a saved profile; name the model instead"
        raise InputError(msg)
    with peers.pool(*targets) as pool:
        import_quickly("torch")
        from profiler.compare_models import counted_row
        from profiler.devices import find_device
        from profiler.run.count_target import count_target
        from profiler.tally import load
        from profiler.targets import build_with_inputs
        from profiler.targets.published_accuracy import published_accuracy

        notify = partial(note, quiet=quiet)
        devices = [find_device(name) for name in split_names(on)] if on is not None else []
        where = peers.device(device, notify)

        def counted(bar: Bar, target: str) -> Profile:
            if is_saved(target):
                return load(Path(target))
            profile = count_target(target, specs=inputs.specs, batch=batch, dtype=dtype, device=where, notify=notify)
            make = partial(build_with_inputs, target, inputs.specs, batch=batch, dtype=dtype, device=where)
            bar.advance()
            return peers.add_findings(profile, with_permissions(make), bar, pool)

        rows, each = [], 1 + len(peers.names)
        with counting("models counted", each * len(targets), quiet=quiet) as bar:
            for target in targets:
                bar.describe(f"counting {target}")
                count = partial(counted, bar, target)
                accuracy = None if is_saved(target) else published_accuracy(target)
                rows.append(counted_row(target, count, devices, precision, accuracy))
                bar.reach(each * len(rows))
    models = tuple(row for row, _ in rows)
    emit(COMPARISON_FORMATS.render(Comparison(models, tuple(profile for _, profile in rows)), format), output)
    failed = [row for row in models if row.error]
    if len(failed) == len(models):
        msg = f"none of {len(rows)} models could be counted"
        raise CheckFailedError(msg)
    for row in failed:  # a picture has no place for them
        notify(f"not counted: {row.name}: {row.error}")
