"""The quantities of a profile that have a closed form, by origin."""

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

    Rows = Iterable[tuple[str, str, str, int]]

CONTRACTION, POINTWISE = "contraction", "pointwise"


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a profile counts."""

    name: str
    unit: str
    #: Lists module, operator, part and cost.
    rows: Callable[[Profile], Rows]
    needs_training: bool = False

    def of(self, profile: Profile) -> dict[Origin, int]:
        """Sum by origin; what costs nothing is left out."""
        sums: dict[Origin, int] = defaultdict(int)
        for module, operator, part, cost in self.rows(profile):
            sums[Origin(family(module), operator, part)] += cost
        return {origin: cost for origin, cost in sums.items() if cost}


def family(module: str) -> str:
    """Write ``*`` for the numbers in a module's path, so that the layers of a stack are one.

    Example:
        >>> family("transformer.h.11.attn")
        'transformer.h.*.attn'
    """
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", module)


def _entries(*parts: tuple[str, Callable[[Entry], int]]) -> Callable[[Profile], Rows]:
    """Read the parts of every operator."""

    def rows(profile: Profile) -> Rows:
        for entry in profile.entries:
            record = entry.record
            backward = "" if record.phase == "forward" else f" ({record.phase})"
            for part, cost in parts:
                yield record.module, record.packet + backward, part, record.calls * cost(entry)

    return rows


def _params(profile: Profile) -> Rows:
    for module in profile.modules:
        yield module.path, module.type, "", module.params


def _activations(profile: Profile) -> Rows:
    if profile.memory is None:
        msg = "this profile has no record of memory, so no activations; count a training step anew"
        raise InputError(msg)
    for path, size in profile.memory.activations.items():
        yield path, "", "", size


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "flops",
            "FLOP",
            _entries((CONTRACTION, lambda e: 2 * e.macs), (POINTWISE, lambda e: e.other_flops)),
        ),
        Quantity("contractions", "FLOP", _entries((CONTRACTION, lambda e: 2 * e.macs))),
        Quantity("macs", "MAC", _entries((CONTRACTION, lambda e: e.macs))),
        Quantity("masked_macs", "MAC", _entries((CONTRACTION, lambda e: e.masked_macs))),
        Quantity("other_flops", "FLOP", _entries((POINTWISE, lambda e: e.other_flops))),
        Quantity("transcendentals", "op", _entries(("", lambda e: e.transcendentals))),
        Quantity("bytes", "byte", _entries(("read", lambda e: e.bytes_read), ("written", lambda e: e.bytes_written))),
        Quantity("params", "element", _params),
        Quantity("activations", "byte", _activations, needs_training=True),
    )
}
