"""``profiler layouts TARGET --world 256 --on h100-sxm``: every mesh of a world, by how fast it trains a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit, working
from profiler.cli.subjects import MODEL, OUTPUT, PLAN, examples
from profiler.errors import InputError
from profiler.values.modes import Mode

if TYPE_CHECKING:
    from profiler.report.layout_tables import LayoutReport
    from profiler.worlds.layout_candidates import Search
    from profiler.worlds.layouts import Layouts


@app.command(
    group=PLAN,
    help_epilogue=examples(
        "profiler layouts hf:llama-3.1-8b --world 64 --on h100-sxm --batch-tokens 4e6",
        "profiler layouts hf:gpt2 --world 8 --on h200-sxm --batch-tokens 5e5 --sequence 1024",
    ),
)
def layouts(
    target: str,
    /,
    *,
    world: int,
    on: str,
    batch_tokens: float,
    sequence: int | None = None,
    input: Annotated[str | None, Parameter(alias="-i", group=MODEL)] = None,
    optimizer: str = "adamw",
    checkpoint: bool | None = None,
    mode: Mode | None = None,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    most: int = 10,
    format: Annotated[Literal["text", "csv", "json"], Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Rank the meshes of a world for training a model.

    Tries every mesh of the axes pp (a 1F1B pipeline), dp (FSDP2) and tp (tensor parallelism within a server), with
    microbatches of one sequence; the experts of a mixture whole, and divided (ep). What does not fit is dropped.

    Args:
        target: The model, as for the default command: of transformers, or an `nn.Sequential`.
        world: The number of devices.
        on: The device; the catalogue has to have its links.
        batch_tokens: Tokens of a step of the whole world, such as `4e6`, or samples if the model's input is not
            tokens. Each data-parallel rank gets the nearest number of whole sequences.
        sequence: Tokens of a sequence; by default 8192, or the most that the model takes.
        input: Input of one microbatch, such as `3x224x224`, for a model that takes no token ids.
        optimizer: Name of an optimizer of `torch.optim`.
        checkpoint: Recompute the activations of blocks in the backward pass; by default both are tried.
        mode: How the model runs: `eager` or `compiled`.
        dtype: Floating-point dtype of the parameters; by default the model's own. They are gathered in bfloat16.
        most: The number of layouts in the text.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    from profiler.report.layout_tables import layouts_csv, layouts_json, layouts_text
    from profiler.worlds.layout_step import search_of
    from profiler.worlds.layouts import find_layouts

    search = search_of(
        target, world, on, batch_tokens,
        sequence=sequence, spec=input, optimizer=optimizer, checkpoint=checkpoint, mode=mode, dtype=dtype,
    )  # fmt: skip
    if most < 1:
        msg = f"--most {most} shows no layout; write 1 or more"
        raise InputError(msg)
    with working(f"tracing small worlds of {target}", quiet=quiet):
        found = find_layouts(search)
    report = _report(search, found)
    writers = {"text": lambda shown: layouts_text(shown, most), "csv": layouts_csv, "json": layouts_json}
    emit(writers[format](report), output)


def _report(search: Search, found: Layouts) -> LayoutReport:
    from profiler.report.layout_tables import DroppedRow, LayoutReport, LayoutRow

    rows = [
        LayoutRow(
            mesh=str(layout.division),
            checkpoint=layout.checkpoint,
            microbatches=layout.microbatches,
            ranks=layout.mesh.world,
            tokens=layout.tokens,
            tokens_per_s=layout.tokens_per_s,
            mfu=layout.mfu,
            memory_bytes=layout.memory_bytes,
            role=layout.fullest.part,
            memory_kind=layout.fullest.memory_kind,
            step_s=layout.step_s,
            bound_s=layout.bound_s,
            compute_s=layout.slowest.compute_s,
            exchange_s=layout.exchange_s,
            idle_s=layout.idle_s,
        )
        for layout in found.ranked
    ]
    dropped = [DroppedRow(str(one.division), one.checkpoint, one.reason) for one in found.dropped]
    return LayoutReport(_heading(search, found), rows, dropped, _method(found))


def _heading(search: Search, found: Layouts) -> str:
    step = search.step
    parts = [step.target, *step.specs, f"{search.world} × {found.device}", f"{search.batch_tokens:,} tokens a step"]
    return " · ".join([*parts, str(step.optimizer), "fsdp along dp", "gathered in bfloat16"])


def _method(found: Layouts) -> str:
    """Return what was traced, what was extended, and what is exact."""
    return (
        f"Traced: {found.traced} small worlds of 3 to 6 blocks, for {found.families} families of ranks.\n"
        f"Extended: {found.blocks} blocks, and all microbatches, stages and shards. At two further worlds of each\n"
        "family MACs, parameters, exchanges and peak memory were equal to the trace.\n"
        "Times are estimates. A memory with ≤ is an upper bound, one with ≈ an estimate."
    )
