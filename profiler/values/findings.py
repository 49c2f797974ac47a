"""What a source says of a model, what is known of the source, and what the comparison with our count finds.

A cause is computed, never written down: a ``Deviation`` is a rule from what we saw to the amount that its source leaves
out, adds or counts twice there. What is left is ``ours − claimed − Σ causes``, and the verdict follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from profiler.values.renamed import warn_renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What a claim is about: work, or parameters.
Quantity = Literal["work", "params"]
#: Counts are integers; a peer that divides by the batch can claim a fraction.
Number = int | float
#: Figures of documents are kept as they are: 2735/67 is no float.
Exact = Number | Fraction
TOTAL = "total"


class CauseKind(StrEnum):
    """The class of a cause."""

    UNIT = "unit"
    CONVENTION = "convention"
    BIAS = "bias"
    UNSUPPORTED = "unsupported operator"
    UNSUPPORTED_MODULE = "unsupported module"
    FUNCTIONAL = "functional call missed"
    SUBCLASS = "subclass missed"
    FUSED = "fused path missed"
    DOUBLE = "counted twice"
    BATCH = "batch"
    ALIAS = "shared module"
    BROADCAST = "broadcast"
    GRID = "transposed grid"
    GROUPS = "groups"
    PADDING = "padding"
    RECURRENT = "recurrent convention"
    ATTENTION = "attention formula"
    DTYPE = "dtype"
    SPARSE = "sparse"
    PARAMETERS = "parameters missed"
    UNCALLED = "counted without a call"
    UNUSED = "output unused"
    FORMULA = "wrong formula"
    ROUNDING = "rounding"
    APPROXIMATION = "approximation"
    SLIP = "slip"
    MISSING = "missing-term"
    SPURIOUS = "spurious-term"
    OTHER_SUBJECT = "other-subject"
    MIXED = "mixed-precision"


#: What a document does knowingly: it cuts digits, or says what it leaves out. Everything else is a mistake in it.
_KNOWINGLY = frozenset({CauseKind.ROUNDING, CauseKind.APPROXIMATION})
#: Of our own figure: mistakes that move a statement by no more do not contradict it.
MATERIAL = Fraction(1, 20)


class Contribution(NamedTuple):
    """A part of a difference, at one place: *amount* is ours minus theirs."""

    module: str
    operator: str
    amount: Exact


@dataclass(frozen=True, slots=True)
class Deviation:
    """A known way in which a source counts otherwise than we do."""

    code: str
    kind: CauseKind
    #: One sentence for a person.
    why: str
    #: The place in the source that shows it.
    where: str
    #: The versions of the source for which it was seen.
    seen: str
    quantity: Quantity
    #: From a scene (what we saw of a model) to the shares of the difference.
    rule: Callable[[Any], Iterable[Contribution]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that a source gives; None with its *error* where it failed to."""

    source: str
    version: str
    #: "total", or the path of a module.
    subject: str
    #: "MAC", "FLOP" or "parameter".
    unit: str
    claimed: Exact | None
    error: str = ""
    #: The claim's name in its document; empty for a peer's.
    id: str = ""


class Verdict(StrEnum):
    """What the numbers of a finding say."""

    AGREES = "agrees"
    EXPLAINED = "explained"
    CONTRADICTED = "contradicted"
    UNEXPLAINED = "unexplained"
    UNVERIFIABLE = "unverifiable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Cause:
    """A named part of a difference, and the places where it arises."""

    code: str
    kind: CauseKind
    why: str
    contributions: tuple[Contribution, ...]

    @property
    def amount(self) -> Number:
        """How much more we count for this reason; negative where the source counts more."""
        return as_number(sum(Fraction(contribution.amount) for contribution in self.contributions))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules where it arises, in the order of the model."""
        return tuple(dict.fromkeys(contribution.module for contribution in self.contributions))


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim beside our own number, and the causes of their difference."""

    claim: Claim
    ours: Exact
    causes: tuple[Cause, ...] = ()

    @property
    def difference(self) -> Number:
        """Ours minus claimed; 0 where nothing was claimed."""
        claimed = self.claim.claimed
        return 0 if claimed is None else as_number(Fraction(self.ours) - Fraction(claimed))

    @property
    def unexplained(self) -> Number:
        """What no cause accounts for."""
        if self.claim.claimed is None:
            return 0
        parts = (contribution.amount for cause in self.causes for contribution in cause.contributions)
        return as_number(Fraction(self.ours) - Fraction(self.claim.claimed) - sum(Fraction(part) for part in parts))

    @property
    def verdict(self) -> Verdict:
        """What the numbers say; it cannot contradict them."""
        if self.claim.claimed is None:
            return Verdict.FAILED
        if self.unexplained:
            return Verdict.UNEXPLAINED
        if all(cause.kind is CauseKind.ROUNDING for cause in self.causes):
            return Verdict.AGREES
        return Verdict.CONTRADICTED if self.claim.id and self._is_mistaken else Verdict.EXPLAINED

    @property
    def _is_mistaken(self) -> bool:
        """Whether a document's mistakes are a material part of the figure."""
        moved_macs = sum(abs(Fraction(cause.amount)) for cause in self.causes if cause.kind not in _KNOWINGLY)
        return moved_macs > MATERIAL * abs(Fraction(self.ours))


def within(causes: Iterable[Cause], path: str) -> tuple[Cause, ...]:
    """Keep of causes what arises in a module or below it."""
    kept = (
        replace(
            c,
            contributions=tuple(
                contribution for contribution in c.contributions if is_under(contribution.module, path)
            ),
        )
        for c in causes
    )
    return tuple(cause for cause in kept if cause.contributions)


def is_under(path: str, top: str) -> bool:
    """Say whether *path* is *top* or below it.

    Example:
        >>> is_under("layer1.0", "layer1"), is_under("layer10", "layer1"), is_under("fc", "")
        (True, False, True)
    """
    return not top or path == top or path.startswith(top + ".")


def as_number(value: Fraction | float) -> Number:
    """Give an integer where the value is one.

    Example:
        >>> as_number(Fraction(6, 3)), as_number(2.5)
        (2, 2.5)
    """
    return int(value) if value == int(value) else float(value)


def __getattr__(name: str) -> object:
    """Return ``Deviation`` under its old name."""
    if name != "Departure":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    warn_renamed("Departure", "Deviation")
    return Deviation
