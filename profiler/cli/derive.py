"""``profiler derive TARGET --vary NAMES``: the exact closed form of a live model's cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from profiler.cli.app import app
from profiler.cli.output import note
from profiler.errors import CheckFailedError
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from profiler.derive.comparison import Comparison
    from profiler.run.derive_target import DeriveRequest

#: What can be derived; a test holds it against the catalogue.
Count = Literal[
    "flops",
    "contractions",
    "macs",
    "masked_macs",
    "other_flops",
    "transcendentals",
    "bytes",
    "params",
    "activations",
]
Format = Literal["text", "latex", "python", "json"]


@app.command
def derive(
    target: str,
    /,
    *,
    vary: Annotated[tuple[str, ...], Parameter(alias="-v")],
    count: Annotated[Count, Parameter(alias="-c")] = "flops",
    input: Annotated[tuple[str, ...], Parameter(alias="-i")] = (),
    set: Annotated[tuple[str, ...], Parameter(alias="-s")] = (),
    letters: tuple[str, ...] = (),
    formula: Annotated[str | None, Parameter(name="--with")] = None,
    at_most: str | None = None,
    solve_for: Annotated[str | None, Parameter(name="--for")] = None,
    at: tuple[str, ...] = (),
    train: bool = False,
    dtype: str | None = None,
    device: str = "auto",
    format: Annotated[Format, Parameter(alias="-f")] = "text",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
) -> None:
    """Derive the exact closed form of a model's cost in its sizes, and verify it at sizes that were not used.

    Args:
        target: What to derive: any target that can be profiled. A factory may have parameters.
        vary: The sizes, as in `batch,sequence,hidden=64..512:64`: of inputs (batch, sequence, height, width,
            resolution, frames, samples, INPUT.AXIS), or settings of the model (hidden, layers, heads, kv_heads,
            head_dim, intermediate, vocab, positions, or its own names).
        count: What to count; contractions are 2·macs.
        input: Shape of an input, by sizes: `x=batch,sequence,hidden`; numbers and formulas may stand there. Or as for
            a profile: `3x224x224`.
        set: A setting of the model that follows from the sizes or is fixed, as in `heads=8` or `positions=2*frames`.
        letters: Letters for constants, `E=768,V=50257`, or for sizes, `T=sequence`.
        formula: A formula to compare with, as in `24*B*S*E**2 + 4*B*S**2*E`; the status is 1 if it differs.
        at_most: A budget, as in 1e12; with --for, the largest size within it is told.
        solve_for: The size that --at-most asks for.
        at: Sizes at which growth, crossovers and --at-most are told, `batch=8`; by default the model's own.
        train: Count a training step instead of a forward pass.
        dtype: Floating dtype of the parameters and inputs, such as bfloat16.
        device: `auto` is meta, and the CPU for models that need values; or `meta`, `cpu`, `cuda`.
        format: How to write the result.
        output: A file to write instead of printing.
        quiet: Say nothing on stderr.
    """
    from profiler.run.derive_target import DeriveRequest  # noqa: PLC0415 - sympy takes half a second: not for every command

    request = DeriveRequest(
        target, vary, count, input, set, letters, formula, at_most, solve_for, at, dtype, device, train=train
    )
    _derive(request, format, output, quiet=quiet)


def _derive(request: DeriveRequest, form: Format, output: Path | None, *, quiet: bool) -> None:
    """Derive and write; raise at the end if a formula differs."""
    from profiler.report.closed_form_formats import WRITERS  # noqa: PLC0415 - as above
    from profiler.run.derive_target import derive_target  # noqa: PLC0415 - as above

    status = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    with status.status(f"deriving {request.target}"):
        answers = derive_target(request, lambda message: note(message, quiet=quiet))
    result = WRITERS[form](answers)
    if output is None:
        sys.stdout.write(result)
        sys.stdout.flush()
    else:
        write_whole(output, result)
    if answers.comparison is not None and not answers.comparison.is_equal:
        raise CheckFailedError(_verdict(answers.comparison))


def _verdict(comparison: Comparison) -> str:
    kinds = [difference.kind for difference in comparison.differences]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    where = f"in {len(kinds)} terms: {counts}" if kinds else "at points that were measured"
    return f"the formula differs from the model {where}"
