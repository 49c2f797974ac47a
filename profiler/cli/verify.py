"""``profiler verify [DOCUMENT or FILE.toml]``: check what documents claim about models and devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.name_lists import split_names
from profiler.cli.output import counting, emit
from profiler.cli.subjects import EXPLAIN, OUTPUT, examples
from profiler.errors import CheckFailedError, ClaimError, ModelError, UnknownNameError
from profiler.report.claim_results import CLAIM_FORMATS
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.documents import ClaimResult, Document

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*CLAIM_FORMATS.names()]
_NAMES_SHOWN = 4  # as many as fit on a line


@app.command(
    group=EXPLAIN,
    help_epilogue=examples(
        "profiler verify tops --claim tops-conv",
        "profiler verify gpu --claim gpu-1080ti --format json",
    ),
)
def verify(
    *names: str,
    claim: Annotated[tuple[str, ...], Parameter(alias="-c")] = (),
    no_cache: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Check what documents claim against live models.

    The exit status is 1 if a formula or a figure does not hold.

    Args:
        names: Documents that `profiler documents` lists, or TOML files of claims; by default all documents that come
            with the package.
        claim: Check only these claims, separated by commas. Can be repeated.
        no_cache: Measure everything again. By default, what was measured before with the same versions is read from
            `~/.cache/profiler`; models in files of your own are always measured.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr except errors.
    """
    from profiler.documents import documents, find_document

    selected = [find_document(name) for name in names] or list(documents().values())
    chosen = tuple(name for names in claim for name in split_names(names))
    claim_results = _check(selected, chosen, use_cache=not no_cache, quiet=quiet)
    emit(CLAIM_FORMATS.render(claim_results, format), output)
    _raise_failed(claim_results)
    _raise_wrong(claim_results)


def _check(selected: list[Document], claims: tuple[str, ...], *, use_cache: bool, quiet: bool) -> list[ClaimResult]:
    """Check the claims with these names, or all, and show the progress on a terminal."""
    import_quickly("torch")
    from profiler.verify import verify_all

    ids = [claim.id for document in selected for claim in document.claims]
    for name in claims:
        if name not in ids:
            kind = "claim"
            raise UnknownNameError(kind, name, ids)
    selection = [
        (document, tuple(claim for claim in document.claims if not claims or claim.id in claims))
        for document in selected
    ]
    total = sum(len(some) for _, some in selection)
    with counting("claims verified", total, quiet=quiet) as bar:
        return verify_all([entry for entry in selection if entry[1]], bar.advance, use_cache=use_cache)


def _raise_failed(claim_results: list[ClaimResult]) -> None:
    """Raise the error with the highest exit status, if a figure could not be measured."""
    failed = [(claim, result) for claim in claim_results for result in claim.results if result.status]
    if not failed:
        return
    claim, result = max(failed, key=lambda pair: pair[1].status)
    kind = ModelError if result.status == ModelError.exit_status else ClaimError
    share = f"{len({id(other) for other, _ in failed})} of {_claims(len(claim_results))}"
    msg = f"{share} could not be checked: {claim.document.id}: {claim.claim.id}: {result.finding.claim.error}"
    raise kind(msg)


def _raise_wrong(claim_results: list[ClaimResult]) -> None:
    """Raise an error if a claim is contradicted or unexplained."""
    from profiler.documents import WRONG

    wrong = [claim for claim in claim_results if claim.verdict in WRONG]
    if wrong:
        named = ", ".join(f"{claim.claim.id} {claim.verdict.value}" for claim in wrong[:_NAMES_SHOWN])
        more = f" and {len(wrong) - _NAMES_SHOWN} more" if len(wrong) > _NAMES_SHOWN else ""
        verb = "does" if len(wrong) == 1 else "do"
        msg = f"{len(wrong)} of {_claims(len(claim_results))} {verb} not hold: {named}{more}"
        raise CheckFailedError(msg)


def _claims(number: int) -> str:
    return f"{number} claim{'' if number == 1 else 's'}"
