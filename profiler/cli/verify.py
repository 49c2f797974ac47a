"""``profiler verify [DOCUMENT or FILE.toml]``: check what documents claim of models and devices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from profiler.cli.app import app
from profiler.errors import CheckFailedError, ClaimError, ModelError, UnknownNameError
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from profiler.documents import ClaimResult, Document

Format = Literal["text", "json", "markdown"]


@app.command
def verify(
    *names: str,
    claim: Annotated[tuple[str, ...], Parameter(alias="-c")] = (),
    format: Annotated[Format, Parameter(alias="-f")] = "text",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
) -> None:
    """Hold the formulas and figures of documents against live models; status 1 where one is wrong.

    Args:
        names: Documents that `profiler documents` lists, or TOML files of claims; all that come with the package, if
            none is named.
        claim: Only this claim; may be given several times.
        format: How to write the result.
        output: A file to write instead of printing.
        quiet: Say nothing on stderr.
    """
    from profiler.documents import documents, find_document  # noqa: PLC0415 - it reads all documents: not for every command

    chosen = [find_document(name) for name in names] or list(documents().values())
    claim_results = _checked(chosen, claim, quiet=quiet)
    result = _written(claim_results, format)
    if output is None:
        sys.stdout.write(result)
        sys.stdout.flush()
    else:
        write_whole(output, result)
    _judge(claim_results)


def _checked(chosen: list[Document], claims: tuple[str, ...], *, quiet: bool) -> list[ClaimResult]:
    from profiler.verify import verify_all  # noqa: PLC0415 - sympy takes half a second: not for every command

    known = [claim.id for document in chosen for claim in document.claims]
    for name in claims:
        if name not in known:
            kind = "claim"
            raise UnknownNameError(kind, name, known)
    wanted = [(d, tuple(c for c in d.claims if not claims or c.id in claims)) for d in chosen]
    wanted = [(document, some) for document, some in wanted if some]
    total = sum(len(some) for _, some in wanted)
    with Progress(console=Console(stderr=True, quiet=quiet or not sys.stderr.isatty()), transient=True) as progress:
        task = progress.add_task("verifying", total=total)
        return verify_all(wanted, lambda _: progress.advance(task))


def _written(claim_results: list[ClaimResult], form: Format) -> str:
    from profiler.report.claim_results import json_value, markdown, text  # noqa: PLC0415 - as above

    if form == "json":
        return json.dumps(json_value(claim_results), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return markdown(claim_results) if form == "markdown" else text(claim_results)


def _judge(claim_results: list[ClaimResult]) -> None:
    """Fail where a claim could not be checked, or is contradicted or unexplained."""
    from profiler.documents import WRONG  # noqa: PLC0415 - as above

    failed = [(claim, result) for claim in claim_results for result in claim.results if result.status]
    if failed:
        claim, result = max(failed, key=lambda pair: pair[1].status)
        kind = ModelError if result.status == ModelError.exit_status else ClaimError
        why = f"{claim.document.id}: {claim.claim.id}: {result.finding.claim.error}"
        msg = f"{len({id(c) for c, _ in failed})} of {len(claim_results)} claims could not be checked: {why}"
        raise kind(msg)
    wrong = [claim for claim in claim_results if claim.verdict in WRONG]
    if wrong:
        named = ", ".join(f"{claim.claim.id} {claim.verdict.value}" for claim in wrong[:4])
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""  # noqa: PLR2004 - as many as a line holds
        msg = f"{len(wrong)} of {len(claim_results)} claims do not hold: {named}{more}"
        raise CheckFailedError(msg)
