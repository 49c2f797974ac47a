"""Keep measured values in the user's cache folder, so that a second run of the same installed code measures nothing.

The values of a model have one file, ``~/.cache/profiler/verify/NAME.json``. A file that was written by other source, or
with other versions of torch and the models, counts as empty, and so does one that is damaged: its model is measured
again and the file is replaced. Only models that come with installed packages are kept, and never a failure.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from profiler.derive import Origin, Point
from profiler.derive.variables import CeilStep
from profiler.documents import MeasureSpec
from profiler.peers import find_peer
from profiler.targets.registry import is_of_installed_package
from profiler.util.user_cache import installed_code, read_cached, update_cached

if TYPE_CHECKING:
    from profiler.derive import Variable
    from profiler.derive.polynomials import Polynomial

#: The terms of a polynomial, as JSON can hold them.
Terms = list[tuple[list[tuple[CeilStep, int]], Fraction]]
_DEFAULTS = asdict(MeasureSpec(target=""))


class StoredForm(NamedTuple):
    """The closed form of a measure: a polynomial for each origin, and the points at which it was measured."""

    parts: list[tuple[Origin, Terms]]
    points: list[Point]

    @classmethod
    def of(cls, polynomials: dict[Origin, Polynomial], points: tuple[Point, ...]) -> StoredForm:
        """Return a closed form as JSON can hold it."""
        parts = [(origin, [(list(m), c) for m, c in terms.items()]) for origin, terms in polynomials.items()]
        return cls(parts, list(points))

    @property
    def polynomials(self) -> dict[Origin, Polynomial]:
        """The polynomials by origin."""
        return {origin: {tuple(monomial): c for monomial, c in terms} for origin, terms in self.parts}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is known of one model, by measure and setting."""

    numbers: dict[str, Fraction] = field(default_factory=dict)
    forms: dict[str, StoredForm] = field(default_factory=dict)


_ROWS = TypeAdapter(_Rows)


class MeasurementCache:
    """The values that were measured before, and those of this run. `save` writes the new ones to the user's cache."""

    def __init__(self, *, on_disk: bool) -> None:
        """Start with what the user's cache folder holds, or, without *on_disk*, with nothing, and write nothing."""
        self._on_disk = on_disk
        self._known: dict[str, _Rows] = {}
        self._new: dict[str, _Rows] = {}

    def number(self, measure: MeasureSpec, point: Point) -> Fraction | None:
        """Return the value of a measure at a setting; None if it is not known."""
        return self._rows(measure).numbers.get(_row_key(measure, point))

    def keep_number(self, measure: MeasureSpec, point: Point, value: Fraction) -> None:
        """Store the value of a measure at a setting."""
        for rows in (self._rows(measure), self._new_rows(measure)):
            rows.numbers[_row_key(measure, point)] = value

    def form(self, measure: MeasureSpec, variables: tuple[Variable, ...]) -> StoredForm | None:
        """Return the closed form of a measure; None if it is not known."""
        return self._rows(measure).forms.get(_form_key(measure, variables))

    def keep_form(self, measure: MeasureSpec, variables: tuple[Variable, ...], form: StoredForm) -> None:
        """Store the closed form of a measure."""
        for rows in (self._rows(measure), self._new_rows(measure)):
            rows.forms[_form_key(measure, variables)] = form

    def save(self) -> None:
        """Add what is new to the user's cache, beside what other processes wrote meanwhile."""
        new, self._new = self._new, {}
        for target, rows in new.items():
            if self._on_disk and is_of_installed_package(target):
                update_cached(_file_name(target), _key(), partial(_with_rows, rows))

    def _rows(self, measure: MeasureSpec) -> _Rows:
        target = measure.target or ""
        if target not in self._known:
            is_kept = self._on_disk and is_of_installed_package(target)
            self._known[target] = _from_row(read_cached(_file_name(target), _key()) if is_kept else None)
        return self._known[target]

    def _new_rows(self, measure: MeasureSpec) -> _Rows:
        return self._new.setdefault(measure.target or "", _Rows())


def _from_row(row: Any) -> _Rows:
    """Return the rows of a file; none if it does not hold any."""
    try:
        return _ROWS.validate_python(row)
    except ValidationError:
        return _Rows()


def _to_row(rows: _Rows) -> Any:
    return _ROWS.dump_python(rows, mode="json")


def _with_rows(new: _Rows, row: Any) -> Any:
    """Return the content of a file with new rows added."""
    old = _from_row(row)
    return _to_row(_Rows(old.numbers | new.numbers, old.forms | new.forms))


@cache
def _key() -> str:
    """Return what every value depends on: the source, the versions of packages, Python and the machine."""
    return f"{installed_code()} {platform.python_version()} {platform.machine()} {platform.system()}"


def _file_name(target: str) -> str:
    return f"verify/{sha256(target.encode(errors='backslashreplace')).hexdigest()[:16]}"


def _row_key(measure: MeasureSpec, point: Point) -> str:
    return json.dumps([_fields(measure), sorted(point.items())])


def _form_key(measure: MeasureSpec, variables: tuple[Variable, ...]) -> str:
    return json.dumps([_fields(measure), [[v.name, v.base, *v.sizes] for v in variables]])


def _fields(measure: MeasureSpec) -> dict[str, Any]:
    """Return the fields of a measure that are set, and the version of its peer."""
    fields = {name: value for name, value in asdict(measure).items() if value != _DEFAULTS[name]}
    return fields | ({} if measure.peer is None else {"version": find_peer(measure.peer).version})
