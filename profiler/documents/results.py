"""How the claims of a document stand: computed from their findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.values.findings import Verdict

if TYPE_CHECKING:
    from profiler.documents.document import Document, DocumentClaim, PrintedFigure
    from profiler.values.findings import Finding

#: From bad to good: a claim stands as the worst of its figures.
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
    """A figure, and what was found of it."""

    figure: PrintedFigure
    finding: Finding
    #: The measures by name, as a person reads them.
    values: dict[str, str]
    #: Where the figures of devices come from.
    sources: tuple[str, ...] = ()
    #: Of a formula: the settings at which it was held against the live model, and how far off it was, least and most.
    settings: int = 0
    ratios: tuple[float, float] | None = None
    #: Of a formula: the setting that the amounts are for, and the closed form that was measured.
    at: str = ""
    form: str = ""
    #: Of a figure that could not be measured: the exit status of the error, which the claim has in its words.
    status: int = 0

    @property
    def verdict(self) -> Verdict:
        """What the numbers say; a figure that nothing can be held against is not verifiable."""
        return Verdict.UNVERIFIABLE if self.figure.missing else self.finding.verdict


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A claim, and how each of its figures stands."""

    document: Document
    claim: DocumentClaim
    results: tuple[FigureResult, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its figures; of a figure that can be read in several ways, the first reading."""
        first = {result.figure.of: result.verdict for result in reversed(self.results)}
        return min(first.values(), key=_ORDER.index)
