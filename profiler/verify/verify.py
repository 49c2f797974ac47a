"""Check the claims of a document: each figure becomes a finding, whose verdict follows from its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents import ClaimResult, FigureResult
from profiler.errors import ClaimError, InstallationError, ModelError, PeerError, ProfilerError
from profiler.expressions import dimension, parse_unit
from profiler.values.findings import TOTAL, Claim, Finding
from profiler.verify.check_formula import check_formula
from profiler.verify.check_number import check_number
from profiler.verify.measurements import Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.documents import Document, DocumentClaim, PrintedFigure


def verify(document: Document, bench: Measurements | None = None) -> Iterator[ClaimResult]:
    """Check the claims of a document, one after another.

    Args:
        document: The document.
        bench: What measures; one for several documents runs each model once.

    Raises:
        ClaimError: A claim cannot be checked as it is written; the message names the document, the claim and why.
    """
    bench = bench or Measurements()
    for claim in document.claims:
        yield check(document, claim, bench)


def check(document: Document, claim: DocumentClaim, bench: Measurements) -> ClaimResult:
    """Check one claim; where a model or a peer failed, or is not installed, the figure stands as failed.

    Raises:
        ClaimError: It cannot be checked as it is written.
    """
    try:
        return ClaimResult(document, claim, tuple(_stand(document, claim, figure, bench) for figure in claim.figures))
    except ProfilerError as error:
        msg = f"{document.id}: {claim.id}: {error}"
        raise ClaimError(msg) from error


def _stand(document: Document, claim: DocumentClaim, figure: PrintedFigure, bench: Measurements) -> FigureResult:
    subject = " · ".join(part for part in (figure.of, figure.reading) if part) or TOTAL
    unit = dimension(parse_unit(figure.unit))
    stated = Claim(document.id, "", subject, str(unit) if unit != 1 else "", None, id=claim.id)
    checked = check_formula if figure.kind == "formula" else check_number
    try:
        return checked(figure, stated, bench)
    except (ModelError, InstallationError, PeerError) as error:
        return FigureResult(figure, Finding(replace(stated, error=str(error)), 0), {}, status=error.exit_status)
