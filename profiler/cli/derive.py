"""``profiler derive TARGET --vary NAMES``: the exact closed form of a model's cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit, note, working
from profiler.cli.subjects import EXPLAIN, MODEL, OUTPUT, examples
from profiler.errors import CheckFailedError
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.derive.comparison import Comparison
    from profiler.run.derive_target import DeriveRequest


@app.command(
    group=EXPLAIN,
    help_epilogue=examples(
        "profiler derive resnet18 --vary batch",
        "profiler derive resnet18 --vary resolution --count macs --format latex",
    ),
)
def derive(
    target: str,
    /,
    *,
    vary: Annotated[tuple[str, ...], Parameter(alias="-v")],
    count: Annotated[str, Parameter(alias="-c")] = "flops",
    input: Annotated[tuple[str, ...], Parameter(alias="-i", group=MODEL)] = (),
    set: Annotated[tuple[str, ...], Parameter(alias="-s")] = (),
    letters: tuple[str, ...] = (),
    formula: Annotated[str | None, Parameter(name="--with")] = None,
    at_most: str | None = None,
    solve_for: Annotated[str | None, Parameter(name="--for")] = None,
    at: tuple[str, ...] = (),
    train: bool = False,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    device: Annotated[str, Parameter(group=MODEL)] = "auto",
    format: Annotated[str, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Derive an exact formula for a model's cost in its sizes.

    The formula is verified at sizes that were not used to derive it.

    Args:
        target: The model, as for a profile. A factory may have parameters.
        vary: The sizes to vary, as in `batch,sequence,hidden=64..512:64`: sizes of inputs (batch, sequence, height,
            width, resolution, frames, samples, INPUT.AXIS), or settings of the model (hidden, layers, heads, kv_heads,
            head_dim, intermediate, vocab, positions, or the model's own names).
        count: The quantity to count: flops, contractions (2·MACs), macs, masked_macs, other_flops, transcendentals,
            bytes, params or activations.
        input: Shape of an input as formulas in the sizes, such as `x=batch,sequence,hidden`, or as numbers, such as
            `3x224x224`.
        set: A setting of the model that is fixed or depends on the sizes, such as `heads=8` or `positions=2*frames`.
        letters: Letters that the formula uses for constants, as in `E=768,V=50257`, or for sizes, as in `T=sequence`.
        formula: A formula to compare with, such as `24*B*S*E**2 + 4*B*S**2*E`; the exit status is 1 if it differs.
        at_most: A limit on the count, such as 1e12; together with --for, report the largest size within the limit.
        solve_for: With --at-most: the size to solve for.
        at: Sizes at which to report growth, crossovers and --at-most, such as `batch=8`; by default the model's own.
        train: Count a training step instead of a forward pass.
        dtype: Floating-point dtype of parameters and inputs, such as bfloat16; by default the model's own.
        device: `meta`, `cpu`, `cuda`, or `auto`, which is `meta`, or the CPU for models that need real values.
        format: Output format: text, csv, json, latex, markdown or python.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
    """
    from profiler.run.derive_target import DeriveRequest

    request = DeriveRequest(
        target, vary, count, input, set, letters, formula, at_most, solve_for, at, dtype, device, train=train
    )
    _derive(request, format, output, quiet=quiet)


def _derive(request: DeriveRequest, form: str, output: Path | None, *, quiet: bool) -> None:
    """Derive the closed form and write it; raise if it differs from the formula to compare with."""
    import_quickly("torch")
    from profiler.report.closed_form_formats import CLOSED_FORM_FORMATS
    from profiler.run.derive_target import derive_target

    write = CLOSED_FORM_FORMATS.find(form)  # an unknown name is an error before the model runs
    with working(f"deriving {request.target}", quiet=quiet):
        result = derive_target(request, lambda message: note(message, quiet=quiet))
    emit(write(result), output)
    if result.comparison is not None and not result.comparison.is_equal:
        raise CheckFailedError(_failure(result.comparison))


def _failure(comparison: Comparison) -> str:
    kinds = [difference.kind for difference in comparison.differences]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    terms = f"{len(kinds)} {'terms' if len(kinds) > 1 else 'term'}"
    where = f"in {terms}: {counts}" if kinds else "at sampled points"
    return f"the formula differs from the model {where}"
