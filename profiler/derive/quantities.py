"""The quantities of a profile that can have a closed form, each split by origin."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.derive.samples import Origin
from profiler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from profiler.tally import Entry, Profile

    #: Module path, operator, part and cost.
    Rows = Iterable[tuple[str, str, str, int]]

CONTRACTION, POINTWISE = "contraction", "pointwise"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity that a profile counts, such as FLOPs or parameters."""

    name: str
    unit: str
    #: Yields the module path, operator, part and cost of every contribution.
    rows: Callable[[Profile], Rows]
    needs_training: bool = False

    def by_origin(self, profile: Profile) -> dict[Origin, int]:
        """Sum the contributions by origin, without the origins that cost nothing."""
        sums: dict[Origin, int] = defaultdict(int)
        for module, operator, part, cost in self.rows(profile):
            sums[Origin(path_pattern(module), operator, part)] += cost
        return {origin: cost for origin, cost in sums.items() if cost}


def path_pattern(module: str) -> str:
    """Replace the numbers in a module's path by ``*``, so that the layers of a stack share one pattern.

    Example:
        >>> path_pattern("transformer.h.11.attn")
        'transformer.h.*.attn'
    """
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", module)


def _operator_rows(*parts: tuple[str, Callable[[Entry], int]]) -> Callable[[Profile], Rows]:
    """Return a function that yields one row for each operator and part."""

    def rows(profile: Profile) -> Rows:
        for entry in profile.entries:
            record = entry.record
            phase = "" if record.phase == "forward" else f" ({record.phase})"
            for part, cost in parts:
                yield record.module, record.packet + phase, part, record.calls * cost(entry)

    return rows


def _parameter_rows(profile: Profile) -> Rows:
    for module in profile.modules:
        yield module.path, module.type, "", module.params


def _activation_rows(profile: Profile) -> Rows:
    if profile.memory is None:
        msg = "this profile has no memory record, and so no activations; profile a training step to record them"
        raise InputError(msg)
    for path, size in profile.memory.activations.items():
        yield path, "", "", size


#: Every quantity, by name. Adding one here makes it available to ``--count``.
QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "flops",
            "FLOP",
            _operator_rows((CONTRACTION, lambda e: 2 * e.macs), (POINTWISE, lambda e: e.other_flops)),
        ),
        Quantity("contractions", "FLOP", _operator_rows((CONTRACTION, lambda e: 2 * e.macs))),
        Quantity("macs", "MAC", _operator_rows((CONTRACTION, lambda e: e.macs))),
        Quantity("masked_macs", "MAC", _operator_rows((CONTRACTION, lambda e: e.masked_macs))),
        Quantity("other_flops", "FLOP", _operator_rows((POINTWISE, lambda e: e.other_flops))),
        Quantity("transcendentals", "op", _operator_rows(("", lambda e: e.transcendentals))),
        Quantity(
            "bytes", "byte", _operator_rows(("read", lambda e: e.bytes_read), ("written", lambda e: e.bytes_written))
        ),
        Quantity("params", "element", _parameter_rows),
        Quantity("activations", "byte", _activation_rows, needs_training=True),
    )
}
