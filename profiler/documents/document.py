"""A document and its claims, as a TOML file holds them.

A claim has one figure or several. What stands in the claim itself holds for all of its figures: a claim of one figure
needs no table for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from profiler.errors import ClaimError, UnknownNameError
from profiler.util.toml_files import read_toml

FOLDER = Path(__file__).parent
Word = Literal["formula", "arithmetic", "fact"]
CauseKind = Literal[
    "unit", "rounding", "slip", "missing-term", "spurious-term", "other-subject", "mixed-precision", "approximation"
]
_STRICT = ConfigDict(extra="forbid")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """What to measure: of a model that is run, of its configuration, of what a peer says of it, or of a device."""

    __pydantic_config__ = _STRICT

    #: A model, as on the command line; the shapes of its inputs, and settings, may be formulas in the variables.
    target: str | None = None
    input: tuple[str, ...] = ()
    set: dict[str, int | str] = field(default_factory=dict)
    batch: int | None = None
    dtype: str | None = None
    #: Run on the CPU, with values: the same counts, and for a small model faster than meta.
    values: bool = False
    #: What is counted: flops, contractions, macs, masked_macs, other_flops, transcendentals, bytes, params,
    #: activations, peak_memory.
    count: str = "flops"
    #: Only of these modules and what is below them, of these operators, or in this phase; ``*`` stands for anything.
    modules: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    phase: str | None = None
    train: bool = False
    optimizer: str | None = None
    checkpoint: bool = False
    freeze: tuple[str, ...] = ()
    #: Instead of a count: a number of the configuration, such as layers; or a size of the output of the one module.
    setting: str | None = None
    axis: int | None = None
    #: Instead of our count: a peer's.
    peer: str | None = None
    #: A device of the catalogue, and bandwidth, memory, power, a precision, or sparse, vector or fp16-sum before one.
    device: str | None = None
    figure: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is neither about a model nor about a device."""
        if (self.target is None) == (self.device is None):
            msg = "name either a target or a device"
            raise ValueError(msg)
        if (self.device is None) != (self.figure is None):
            msg = "a device needs a figure, and only a device has one"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class StatedCause:
    """A named step from what is measured to what is printed."""

    __pydantic_config__ = _STRICT

    kind: CauseKind
    why: str
    #: What the figure is after this step: a formula in ``now``, the measures and the variables.
    gives: str


@dataclass(frozen=True, slots=True)
class PrintedFigure:
    """A number or a formula that a document prints, and what it is held against."""

    __pydantic_config__ = _STRICT

    kind: Word
    unit: str
    #: What of the claim it is about, and how a doubtful text is read.
    of: str = ""
    reading: str = ""
    #: A number as it is printed, ``LOW..HIGH``, ``>NUMBER`` or ``<NUMBER``.
    printed: str | None = None
    expression: str | None = None
    #: Numbers, quantities (``67 GB/s``), or for a formula ranges (``16..128:16``).
    variables: dict[str, int | float | str] = field(default_factory=dict)
    measures: dict[str, MeasureSpec] = field(default_factory=dict)
    #: What is held against the claim: a formula in the measures and the variables.
    measured: str = "ours"
    causes: tuple[StatedCause, ...] = ()
    #: Why it cannot be verified, where it cannot.
    missing: str = ""

    def __post_init__(self) -> None:
        """Refuse a figure that leaves nothing to compare."""
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
    """A claim of a document."""

    __pydantic_config__ = _STRICT

    id: str
    #: What is said, in short.
    says: str
    figures: tuple[PrintedFigure, ...] = Field(min_length=1)
    #: Where the text can be read in more than one way: why.
    doubt: str = ""
    #: What a careful reader would write in the margin; names in braces stand for the measured values.
    margin: str = ""

    def __post_init__(self) -> None:
        """Refuse an id that is no plain word."""
        if not _ID.fullmatch(self.id):
            msg = "an id is made of small letters, digits and single hyphens"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Document:
    """A document: where it is from, and what it claims."""

    __pydantic_config__ = _STRICT

    id: str
    title: str
    claims: tuple[DocumentClaim, ...]
    language: str = "en"
    origin: str = ""


_FIGURE = {f.name for f in fields(PrintedFigure)}


@cache
def documents() -> dict[str, Document]:
    """Read the documents that come with the package, by id."""
    return {path.stem: read_document(path) for path in sorted(FOLDER.glob("*.toml")) if path.stem != "template"}


def find_document(name: str) -> Document:
    """Find a document by its id, or read a file of claims.

    Raises:
        UnknownNameError: There is no such document.
        ClaimError: The file is wrong.
    """
    if name.endswith(".toml") or "/" in name:
        return read_document(Path(name))
    if name not in documents():
        kind = "document"
        raise UnknownNameError(kind, name, documents())
    return documents()[name]


def read_document(path: Path) -> Document:
    """Read one file.

    Raises:
        ClaimError: It cannot be read, is not TOML, or a claim in it is wrong: the message names file, claim and field.
    """
    table = read_toml(path, ClaimError, "a TOML file with tables [[claims]]")
    claims = table.get("claims")
    if not isinstance(claims, list) or not claims or not all(isinstance(claim, dict) for claim in claims):
        msg = (
            f"{path.name} holds no claims; write a table [[claims]] for each, as `profiler documents --template` shows"
        )
        raise ClaimError(msg)
    values = {"id": path.stem, "title": path.stem} | table | {"claims": [_spread(claim) for claim in claims]}
    try:
        document = TypeAdapter(Document).validate_python(values)
    except ValidationError as error:
        raise ClaimError(_complaint(path, claims, error)) from error
    names = [claim.id for claim in document.claims]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        msg = f"{path.name}: two claims are named {twice!r}; give each its own id"
        raise ClaimError(msg)
    return document


def _spread(claim: dict[str, Any]) -> dict[str, Any]:
    """Put what all figures of a claim share into each of them."""
    shared = {key: value for key, value in claim.items() if key in _FIGURE}
    own = claim.get("figures", [{}])
    if not isinstance(own, list) or not all(isinstance(figure, dict) for figure in own):
        return claim
    rest = {key: value for key, value in claim.items() if key not in _FIGURE}
    return rest | {"figures": [_merged(shared, figure) for figure in own]}


def _merged(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    tables = {
        key: {**value, **own[key]}
        for key, value in shared.items()
        if isinstance(value, dict) and isinstance(own.get(key), dict)
    }
    return shared | own | tables


def _complaint(path: Path, claims: list[dict[str, Any]], error: ValidationError) -> str:
    """Name the file, the claim and the field of the first mistake."""
    first = error.errors()[0]
    match first["loc"]:
        case ("claims", int(number), *rest):
            name = claims[number].get("id", f"claim {number + 1}")
            field_path = ".".join(str(part) for part in rest if part not in {"figures", 0})
            where = f"{name}: {field_path}" if field_path else str(name)
        case place:
            where = ".".join(map(str, place))
    return f"{path.name}: {where}: {first['msg'].removeprefix('Value error, ')}"
