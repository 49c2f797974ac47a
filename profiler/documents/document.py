"""The schema of a document and its claims, and the reader of their TOML files.

A claim has one or more figures. Fields of a figure that are written in the claim apply to all of its figures, so a
claim with one figure needs no ``[[claims.figures]]`` table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.errors import ClaimError, UnknownNameError
from profiler.escaping import quoted
from profiler.util.toml_files import read_toml

FOLDER = Path(__file__).parent
FigureKind = Literal["formula", "arithmetic", "fact"]
StatedCauseKind = Literal[
    "unit", "rounding", "slip", "missing-term", "spurious-term", "other-subject", "mixed-precision", "approximation"
]
_STRICT = ConfigDict(extra="forbid")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """What to measure: a count of a model, a number of its configuration, a peer's count, or a figure of a device."""

    __pydantic_config__ = _STRICT

    #: A model, as on the command line. The shapes of its inputs and its settings may be formulas in the variables.
    target: str | None = None
    input: tuple[str, ...] = ()
    set: dict[str, int | str] = field(default_factory=dict)
    batch: int | None = None
    dtype: str | None = None
    #: Run on the CPU with real values instead of on meta: the same counts, and faster for a small model.
    values: bool = False
    #: The quantity: flops, contractions, macs, masked_macs, other_flops, transcendentals, bytes, params,
    #: activations, peak_memory.
    count: str = "flops"
    #: Restrict the count to these modules and their descendants, to these operators, or to this phase. ``*`` in a
    #: pattern matches anything.
    modules: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    phase: str | None = None
    train: bool = False
    optimizer: str | None = None
    checkpoint: bool = False
    freeze: tuple[str, ...] = ()
    #: Instead of a count: a number of the configuration, such as layers, or the size of one axis of the output of the
    #: single module in *modules*.
    setting: str | None = None
    axis: int | None = None
    #: Instead of our count: the count of this peer.
    peer: str | None = None
    #: A device of the catalogue, and its figure: ``bandwidth``, ``memory``, a precision such as ``bf16``, or
    #: ``sparse``, ``vector``, ``fp16-sum`` or ``quoted`` and a precision.
    device: str | None = None
    figure: str | None = None

    def __post_init__(self) -> None:
        """Raise an error unless it names either a target, or a device with a figure."""
        if (self.target is None) == (self.device is None):
            msg = "name either a target or a device"
            raise ValueError(msg)
        if (self.device is None) != (self.figure is None):
            msg = "`device` needs `figure`, and `figure` needs `device`"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class StatedCause:
    """A step from the measured value towards the printed one, with its reason."""

    __pydantic_config__ = _STRICT

    kind: StatedCauseKind
    why: str
    #: The value after this step: a formula in ``now`` (the value before it), the measures and the variables.
    gives: str


@dataclass(frozen=True, slots=True)
class PrintedFigure:
    """A number or a formula that a document prints, and what to compare it with."""

    __pydantic_config__ = _STRICT

    kind: FigureKind
    unit: str
    #: Which part of the claim this is, and how an ambiguous text is read.
    of: str = ""
    reading: str = ""
    #: A number with the digits of the document, ``LOW..HIGH``, ``>NUMBER`` or ``<NUMBER``.
    printed: str | None = None
    expression: str | None = None
    #: Numbers, quantities (``67 GB/s``), or for a formula ranges (``16..128:16``).
    variables: dict[str, int | float | str] = field(default_factory=dict)
    measures: dict[str, MeasureSpec] = field(default_factory=dict)
    #: The value to compare with: a formula in the measures and the variables.
    measured: str = "ours"
    causes: tuple[StatedCause, ...] = ()
    #: Why it cannot be verified; empty if it can.
    missing: str = ""

    def __post_init__(self) -> None:
        """Raise an error if there is nothing to compare."""
        if self.missing:
            return
        if self.printed is None and self.expression is None:
            msg = "it needs `printed` or `expression`"
            raise ValueError(msg)
        if self.kind == "arithmetic" and (self.printed is None or self.expression is None):
            msg = "an arithmetic claim needs both `printed` and `expression`"
            raise ValueError(msg)
        if self.kind != "arithmetic" and self.measured == "ours" and "ours" not in self.measures:
            msg = "it needs `measures.ours`, or `measured` with other measures"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class DocumentClaim:
    """One claim of a document, with its figures."""

    __pydantic_config__ = _STRICT

    id: str
    #: The claim in one sentence.
    says: str
    figures: tuple[PrintedFigure, ...] = Field(min_length=1)
    #: Why the text is ambiguous; empty if it is not.
    doubt: str = ""
    #: What is true, and why the claim differs from it. Names in braces are replaced with measured values.
    margin: str = ""

    def __post_init__(self) -> None:
        """Raise an error if the id is not lower case words joined by hyphens."""
        if not _ID.fullmatch(self.id):
            msg = "an id is made of lower case letters, digits and single hyphens"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its origin and its claims."""

    __pydantic_config__ = _STRICT

    id: str
    title: str
    claims: tuple[DocumentClaim, ...]
    language: str = "en"
    origin: str = ""


_FIGURE_FIELDS = {f.name for f in fields(PrintedFigure)}


@cache
def documents() -> dict[str, Document]:
    """Return the documents that come with the package, by id."""
    return {path.stem: read_document(path) for path in sorted(FOLDER.glob("*.toml")) if path.stem != "template"}


def find_document(name: str) -> Document:
    """Return a document that comes with the package, or read one from a TOML file.

    Args:
        name: The id of a document, as `documents` lists them, or a path: a name with ``/`` or the suffix ``.toml``.

    Raises:
        UnknownNameError: No document has this id.
        ClaimError: The file cannot be read, or a claim in it is not valid.

    Example:
        >>> find_document("tops").title
        'Estimating the TOPS that a model needs'
    """
    if name.endswith(".toml") or "/" in name:
        return read_document(Path(name))
    if name not in documents():
        kind = "document"
        raise UnknownNameError(kind, name, documents())
    return documents()[name]


def read_document(path: Path) -> Document:
    """Read a TOML file of claims.

    Raises:
        ClaimError: The file cannot be read, is not TOML, or a claim in it is not valid. The message names the file, the
            claim and the field.
    """
    table = read_toml(path, ClaimError, "a TOML file with tables [[claims]]")
    claims = table.get("claims")
    if not isinstance(claims, list) or not claims or not all(isinstance(claim, dict) for claim in claims):
        msg = (
            f"{path.name} has no claims; write one table [[claims]] for each, as `profiler documents --template` shows"
        )
        raise ClaimError(msg)
    values = {"id": path.stem, "title": path.stem} | table | {"claims": [_share_fields(claim) for claim in claims]}
    try:
        document = TypeAdapter(Document).validate_python(values)
    except ValidationError as error:
        raise ClaimError(_describe_error(path, claims, error)) from error
    names = [claim.id for claim in document.claims]
    duplicate = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if duplicate is not None:
        msg = f"{path.name}: two claims are named {duplicate!r}; give each its own id"
        raise ClaimError(msg)
    return document


def _share_fields(claim: dict[str, Any]) -> dict[str, Any]:
    """Copy the figure fields of a claim into each of its figures."""
    shared = {key: value for key, value in claim.items() if key in _FIGURE_FIELDS}
    figures = claim.get("figures", [{}])
    if not isinstance(figures, list) or not all(isinstance(figure, dict) for figure in figures):
        return claim  # pydantic reports it
    rest = {key: value for key, value in claim.items() if key not in _FIGURE_FIELDS}
    return rest | {"figures": [_merge(shared, figure) for figure in figures]}


def _merge(shared: dict[str, Any], figure: dict[str, Any]) -> dict[str, Any]:
    """Merge the fields of a claim with those of its figure, which win; tables are merged key by key."""
    tables = {
        key: {**value, **figure[key]}
        for key, value in shared.items()
        if isinstance(value, dict) and isinstance(figure.get(key), dict)
    }
    return shared | figure | tables


def _describe_error(path: Path, claims: list[dict[str, Any]], error: ValidationError) -> str:
    """Describe the first validation error by its file, claim and field."""
    first = error.errors()[0]
    match first["loc"]:
        case ("claims", int(number), *rest):
            name = quoted(claims[number].get("id", f"claim {number + 1}")).strip("'")
            field_path = ".".join(str(part) for part in rest if part not in {"figures", 0})
            where = f"{name}: {field_path}" if field_path else str(name)
        case location:
            where = ".".join(map(str, location))
    return f"{path.name}: {where}: {first['msg'].removeprefix('Value error, ')}"
