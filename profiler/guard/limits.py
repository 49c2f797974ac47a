"""Limits: a fixed number, or a change relative to the baseline.

macs = 1_814_073_344        at most this
macs = "+0 %"               at most the baseline's
macs = "-10 %"              at least a tenth less than the baseline
macs = "±0 %"               neither more nor less
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from profiler.errors import BudgetError, UnknownNameError
from profiler.escaping import quoted
from profiler.guard.device_metrics import TERA, is_projected
from profiler.guard.metrics import FIGURES, Metric, Part
from profiler.values.records import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RELATIVE = re.compile(r"(?P<sign>[+±−-])\s*(?P<percent>\d+(?:\.\d+)?)\s*%")
_UNCOUNTED = Metric("uncounted")


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure and its limit, as written in the file of budgets."""

    metric: Metric
    written: int | str

    @property
    def is_relative(self) -> bool:
        """Whether the limit needs a baseline."""
        return isinstance(self.written, str)

    def most(self, baseline: int) -> int:
        """Return the largest figure allowed; a relative limit is computed exactly and rounded down.

        Example:
            >>> Limit(Metric("macs"), "+1 %").most(1_000_050)
            1010050
        """
        if isinstance(self.written, int):
            return self.written
        sign, share = _relative(self.written)
        return math.floor(baseline * (1 - share if sign == "-" else 1 + share))

    def least(self, baseline: int) -> int:
        """Return the smallest figure allowed: 0, except for limits written with ``±``."""
        if isinstance(self.written, int):
            return 0
        sign, share = _relative(self.written)
        return math.ceil(baseline * (1 - share)) if sign == "±" else 0


def parse_limits(table: Mapping[str, Any]) -> tuple[Limit, ...]:
    """Read limits from a table: figures by name, the tables ``phases``, ``operators`` and ``modules``, and TOPS.

    Without a limit on ``uncounted``, no uncounted operator is allowed: with one the other figures are lower bounds, and
    checking those proves nothing.

    Raises:
        BudgetError: A limit cannot be read.
        UnknownNameError: There is no such figure or phase.
    """
    limits = tuple(_limit(keys, written) for keys, written in _leaves(table))
    has_uncounted = any(limit.metric == _UNCOUNTED for limit in limits)
    return limits if has_uncounted else (*limits, Limit(_UNCOUNTED, 0))


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the values of nested tables with their keys: ``modules.layer1.0.macs`` may be quoted or not."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _limit(keys: tuple[str, ...], written: Any) -> Limit:
    metric = _metric(keys)
    if metric.part == "devices" and isinstance(written, int | float) and written >= 0:
        return Limit(metric, round(written * TERA))
    if isinstance(written, str) and _RELATIVE.fullmatch(written):
        return Limit(metric, written)
    if isinstance(written, int) and not isinstance(written, bool) and written >= 0:
        return Limit(metric, written)
    msg = (
        f"`{metric.label} = {written!r}` is not a limit; write a whole number such as 1000, or a change such as '+0 %'"
    )
    raise BudgetError(msg)


def _metric(keys: tuple[str, ...]) -> Metric:
    if is_projected(keys[0]) and len(keys) > 1:
        return Metric(keys[0], "devices", ".".join(keys[1:]))
    part, pattern = _part(keys)
    name = keys[-1]
    if name not in FIGURES[part]:
        kind = f"figure of {part}" if part else "option or figure"
        raise UnknownNameError(kind, name, FIGURES[part])
    if part == "phases" and pattern not in PHASES:
        kind = "phase"
        raise UnknownNameError(kind, pattern, PHASES)
    return Metric(name, part, pattern)


def _part(keys: tuple[str, ...]) -> tuple[Part, str]:
    """Split all keys of a limit but the last into the part and its pattern."""
    first, *pattern = keys[:-1] or ("",)
    for part, names in FIGURES.items():
        if names and part == first and bool(part) == bool(pattern):
            return part, ".".join(pattern)
    msg = (
        f'`{".".join(keys)}` is not a limit; write `macs = …`, or `modules."layer1.*".macs = …` for a part of the model'
    )
    raise BudgetError(msg)


_LONGEST_CHANGE = 40


def _relative(written: str) -> tuple[str, Fraction]:
    """Return the sign of a relative limit, and its change as a fraction of the baseline."""
    match = _RELATIVE.fullmatch(written)
    if match is None or len(written) > _LONGEST_CHANGE:
        msg = f"{quoted(written)} is not a change; write it as '+0 %'"
        raise BudgetError(msg)
    return match["sign"].replace("−", "-"), Fraction(match["percent"]) / 100
