"""Select the part of a profile that a measure is about."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from profiler.derive import Origin
from profiler.derive.quantities import QUANTITIES, path_pattern
from profiler.errors import UnknownNameError

if TYPE_CHECKING:
    from profiler.documents import MeasureSpec
    from profiler.tally import Profile


def sum_by_origin(measure: MeasureSpec, profile: Profile) -> dict[Origin, int]:
    """Sum the count of a measure by origin, over its modules, operators and phase.

    Raises:
        UnknownNameError: There is no such count, or a pattern matches no module or operator.
    """
    if measure.count == "peak_memory":
        return {Origin("", ""): profile.totals.peak_memory["total"]}
    if measure.count not in QUANTITIES:
        kind = "count"
        raise UnknownNameError(kind, measure.count, [*QUANTITIES, "peak_memory"])
    sums: dict[Origin, int] = {}
    for module, operator, part, cost in QUANTITIES[measure.count].rows(profile):
        if cost and _is_selected(measure, module, operator):
            origin = Origin(path_pattern(module), operator, part)
            sums[origin] = sums.get(origin, 0) + cost
    if not sums and (measure.modules or measure.operators):
        _check_patterns(measure, profile)
    return sums


def _is_selected(measure: MeasureSpec, module: str, operator: str) -> bool:
    """Return whether a measure selects a row; *operator* may end with a phase, as in ``aten.mm (backward)``."""
    name, _, phase = operator.partition(" ")
    in_modules = not measure.modules or any(_is_inside(module, pattern) for pattern in measure.modules)
    in_operators = not measure.operators or any(fnmatchcase(name, pattern) for pattern in measure.operators)
    return in_modules and in_operators and measure.phase in {None, phase.strip("()") or "forward"}


def _is_inside(module: str, pattern: str) -> bool:
    return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")


def _check_patterns(measure: MeasureSpec, profile: Profile) -> None:
    """Raise an error for a pattern that matches nothing; otherwise a misspelled name would count as zero."""
    paths = [row.path for row in profile.modules]
    for pattern in measure.modules:
        if not any(_is_inside(path, pattern) for path in paths):
            kind = f"module of {measure.target}"
            raise UnknownNameError(kind, pattern, paths)
    operators = [row.operator for row in profile.operators]
    for pattern in measure.operators:
        if not any(fnmatchcase(operator, pattern) for operator in operators):
            kind = f"operator of {measure.target}"
            raise UnknownNameError(kind, pattern, operators)
