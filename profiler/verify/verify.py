"""Check the claims of a document: each figure becomes a finding, and its verdict follows from the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents import ClaimResult, FigureResult
from profiler.documents.target_claims import claims_settled_by_profile
from profiler.errors import ClaimError, InstallationError, ModelError, PeerError, ProfilerError
from profiler.expressions import dimension, parse_unit
from profiler.values.findings import TOTAL, Claim, Finding
from profiler.verify.check_formula import check_formula
from profiler.verify.check_number import check_number
from profiler.verify.measurements import Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.documents import Document, DocumentClaim, PrintedFigure
    from profiler.tally import Profile


def verify(document: Document, measurements: Measurements | None = None) -> Iterator[ClaimResult]:
    """Check the claims of a document one after another, and yield their results.

    Args:
        document: A document, as `find_document` returns it.
        measurements: Where measured values are cached. Pass the same object for several documents to run each model
            once.

    Raises:
        ClaimError: A claim is not valid. The message names the document, the claim and the reason.
    """
    measurements = measurements or Measurements()
    for claim in document.claims:
        yield check(document, claim, measurements)


def check(document: Document, claim: DocumentClaim, measurements: Measurements) -> ClaimResult:
    """Check one claim.

    If a model or a peer fails, or its package is not installed, the result of that figure has the error and the verdict
    "failed"; the other figures are checked.

    Raises:
        ClaimError: The claim is not valid. The message names the document, the claim and the reason.
    """
    try:
        results = tuple(_check_figure(document, claim, figure, measurements) for figure in claim.figures)
    except ProfilerError as error:
        msg = f"{document.id}: {claim.id}: {error}"
        raise ClaimError(msg) from error
    return ClaimResult(document, claim, results)


def findings_about(target: str, profile: Profile) -> tuple[Finding, ...]:
    """Compare the documents' figures for a model with its profile. Figures that need another run are left out.

    Args:
        target: The model, as on the command line.
        profile: The profile of one forward pass of *target* with its default input.
    """
    measurements = Measurements()
    measurements.add_profile(target, profile)
    claim_results = [check(document, claim, measurements) for document, claim in claims_settled_by_profile(target)]
    return tuple(result.finding for claim in claim_results for result in claim.results if not result.status)


def _check_figure(
    document: Document, claim: DocumentClaim, figure: PrintedFigure, measurements: Measurements
) -> FigureResult:
    subject = " · ".join(part for part in (figure.of, figure.reading) if part) or TOTAL
    unit = dimension(parse_unit(figure.unit))
    stated = Claim(document.id, "", subject, str(unit) if unit != 1 else "", None, id=claim.id)
    check_kind = check_formula if figure.kind == "formula" else check_number
    try:
        return check_kind(figure, stated, measurements)
    except (ModelError, InstallationError, PeerError) as error:
        return FigureResult(figure, Finding(replace(stated, error=str(error)), 0), {}, status=error.exit_status)
