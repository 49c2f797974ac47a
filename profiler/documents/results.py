"""The results of checking the claims of a document; every verdict is computed from findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.values.findings import Verdict

if TYPE_CHECKING:
    from profiler.documents.document import Document, DocumentClaim, PrintedFigure
    from profiler.values.findings import Finding

#: From worst to best: the verdict of a claim is the worst of its figures'.
_ORDER = (
    Verdict.FAILED,
    Verdict.UNEXPLAINED,
    Verdict.CONTRADICTED,
    Verdict.UNVERIFIABLE,
    Verdict.EXPLAINED,
    Verdict.AGREES,
)
WRONG = frozenset({Verdict.FAILED, Verdict.UNEXPLAINED, Verdict.CONTRADICTED})


@dataclass(frozen=True, slots=True)
class FigureResult:
    """The result of checking one printed figure."""

    figure: PrintedFigure
    finding: Finding
    #: The values of the variables and measures by name, as text.
    values: dict[str, str]
    #: The sources of the devices' figures.
    sources: tuple[str, ...] = ()
    #: For a formula: at how many settings it was compared, and its least and greatest value relative to the measured.
    settings: int = 0
    ratios: tuple[float, float] | None = None
    #: For a formula: the setting that the amounts of the finding are for, and the closed form that was measured.
    at: str = ""
    form: str = ""
    #: The exit status of the error if the figure could not be measured, else 0. The finding's claim has the message.
    status: int = 0

    @property
    def verdict(self) -> Verdict:
        """The verdict of the finding; unverifiable if there is nothing to compare the figure with."""
        return Verdict.UNVERIFIABLE if self.figure.missing else self.finding.verdict


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The results of checking all figures of one claim."""

    document: Document
    claim: DocumentClaim
    results: tuple[FigureResult, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of its figures. Of a figure with several readings, only the first counts."""
        first = {result.figure.of: result.verdict for result in reversed(self.results)}
        return min(first.values(), key=_ORDER.index)
