"""Claims of other sources about a model, and the explained difference between each claim and our count.

A source is another counter (a "peer") or a document. A ``Claim`` is a number that it states. A ``Finding`` compares
the claim with our own number and lists the ``Cause``s of the difference. The amounts of causes are computed: a
``Deviation`` is a rule that computes from a recorded forward pass how much its source omits, adds or counts twice. The
unexplained rest is ``ours − claimed − Σ causes``, and the verdict follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from profiler.values.renamed import warn_renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: What a deviation changes: the amount of work, or the number of parameters.
Quantity = Literal["work", "params"]
#: Counts are integers; a peer that divides by the batch size can claim a fraction.
Number = int | float
#: Figures of documents are exact rationals: 2735/67 has no exact float.
Exact = Number | Fraction
#: The subject of a claim about the whole model.
TOTAL = "total"


class CauseKind(StrEnum):
    """The kind of a cause: why a source counts differently."""

    UNIT = "unit"
    CONVENTION = "convention"
    BIAS = "bias"
    UNSUPPORTED = "unsupported operator"
    UNSUPPORTED_MODULE = "unsupported module"
    FUNCTIONAL = "functional call missed"
    SUBCLASS = "subclass missed"
    FUSED = "fused path missed"
    DOUBLE = "counted twice"
    GLOBAL = "work of all ranks"
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
    UNUSED = "output unused"
    FORMULA = "wrong formula"
    ROUNDING = "rounding"
    APPROXIMATION = "approximation"
    SLIP = "slip"
    MISSING = "missing-term"
    SPURIOUS = "spurious-term"
    OTHER_SUBJECT = "other-subject"
    MIXED = "mixed-precision"


#: Deliberate simplifications in a document: rounded digits, stated omissions. Every other kind is a mistake.
_DELIBERATE = frozenset({CauseKind.ROUNDING, CauseKind.APPROXIMATION})
#: Fraction of our own figure: mistakes of at most this size do not contradict a document's statement.
MATERIAL = Fraction(1, 20)


class Contribution(NamedTuple):
    """The part of a difference that arises in one module and operator: *amount* is ours minus theirs."""

    module: str
    operator: str
    amount: Exact


@dataclass(frozen=True, slots=True)
class Deviation:
    """A known way in which a peer counts differently from us."""

    #: A unique name, such as "FCM-BIAS".
    code: str
    kind: CauseKind
    #: What the peer does, as a phrase whose subject is the peer; it is printed in reports.
    why: str
    #: The file and function of the peer that shows it.
    where: str
    #: The versions of the peer in which it was observed.
    versions: str
    quantity: Quantity
    #: Computes the contributions to the difference from a ``ForwardPass``.
    rule: Callable[[Any], Iterable[Contribution]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that a source states; None, with an *error*, if the source failed."""

    source: str
    version: str
    #: "total", or the path of a module.
    subject: str
    #: "MAC", "FLOP" or "parameter".
    unit: str
    claimed: Exact | None
    error: str = ""
    #: The claim's id in its document; empty for a peer.
    id: str = ""


class Verdict(StrEnum):
    """The result of comparing a claim with our count.

    - ``AGREES``: the numbers are equal, up to rounding.
    - ``EXPLAINED``: they differ, and the causes add up to the difference exactly.
    - ``CONTRADICTED``: the same, but the causes are mistakes of a document that matter (more than ``MATERIAL``).
    - ``UNEXPLAINED``: a part of the difference has no known cause.
    - ``UNVERIFIABLE``: the claim can no longer be checked; its document says why.
    - ``FAILED``: the source gave no number.
    """

    AGREES = "agrees"
    EXPLAINED = "explained"
    CONTRADICTED = "contradicted"
    UNEXPLAINED = "unexplained"
    UNVERIFIABLE = "unverifiable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Cause:
    """A named part of a difference, with the modules and operators where it arises."""

    code: str
    kind: CauseKind
    why: str
    contributions: tuple[Contribution, ...]

    @property
    def amount(self) -> Number:
        """Ours minus theirs, summed over the contributions; negative if the source counts more."""
        return as_number(sum(Fraction(contribution.amount) for contribution in self.contributions))

    @property
    def modules(self) -> tuple[str, ...]:
        """The paths of the modules where it arises, in order of first occurrence."""
        return tuple(dict.fromkeys(contribution.module for contribution in self.contributions))


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, our own number, and the causes of the difference."""

    claim: Claim
    ours: Exact
    causes: tuple[Cause, ...] = ()

    @property
    def difference(self) -> Number:
        """Ours minus claimed; 0 if nothing was claimed."""
        claimed = self.claim.claimed
        return 0 if claimed is None else as_number(Fraction(self.ours) - Fraction(claimed))

    @property
    def unexplained(self) -> Number:
        """The difference minus the causes: what no cause accounts for."""
        if self.claim.claimed is None:
            return 0
        amounts = (contribution.amount for cause in self.causes for contribution in cause.contributions)
        return as_number(
            Fraction(self.ours) - Fraction(self.claim.claimed) - sum(Fraction(amount) for amount in amounts)
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict, computed from the numbers and the kinds of the causes."""
        if self.claim.claimed is None:
            return Verdict.FAILED
        if self.unexplained:
            return Verdict.UNEXPLAINED
        if all(cause.kind is CauseKind.ROUNDING for cause in self.causes):
            return Verdict.AGREES
        return Verdict.CONTRADICTED if self.claim.id and self._is_mistaken else Verdict.EXPLAINED

    @property
    def _is_mistaken(self) -> bool:
        """Whether the document's mistakes add up to a material part of our figure."""
        mistakes = sum(abs(Fraction(cause.amount)) for cause in self.causes if cause.kind not in _DELIBERATE)
        return mistakes > MATERIAL * abs(Fraction(self.ours))


def within(causes: Iterable[Cause], path: str) -> tuple[Cause, ...]:
    """Restrict causes to the contributions of the module at *path* and its descendants; drop causes left empty."""
    restricted = (replace(cause, contributions=_contributions_under(cause, path)) for cause in causes)
    return tuple(cause for cause in restricted if cause.contributions)


def _contributions_under(cause: Cause, path: str) -> tuple[Contribution, ...]:
    return tuple(contribution for contribution in cause.contributions if is_under(contribution.module, path))


def is_under(path: str, top: str) -> bool:
    """Return whether the module path *path* is *top* or a descendant of it.

    Example:
        >>> is_under("layer1.0", "layer1"), is_under("layer10", "layer1"), is_under("fc", "")
        (True, False, True)
    """
    return not top or path == top or path.startswith(top + ".")


def as_number(value: Fraction | float) -> Number:
    """Return an ``int`` if *value* is integral, otherwise a ``float``.

    Example:
        >>> as_number(Fraction(6, 3)), as_number(2.5)
        (2, 2.5)
    """
    return int(value) if value == int(value) else float(value)


def __getattr__(name: str) -> object:
    """Return ``Deviation`` for its deprecated name ``Departure``."""
    if name != "Departure":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    warn_renamed("Departure", "Deviation")
    return Deviation
