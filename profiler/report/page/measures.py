"""The measures that the page can show of a module: each a key, a label, a unit, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from profiler.report.page.time_by_module import seconds_by_module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from profiler.tally import Node, Profile, Totals

Scale = Literal["count", "size", "seconds"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that every module has, of its own work and with its submodules'."""

    key: str
    label: str
    unit: str
    scale: Scale
    #: Return the module's own amount, without its submodules'.
    own: Callable[[Node], float]
    #: Whether the icicle can show it; otherwise it is a column of the table.
    pictured: bool = True
    #: What a reader has to know of the number.
    note: str = ""

    @property
    def row(self) -> dict[str, object]:
        """What the page knows of the measure."""
        names = ("key", "label", "unit", "scale", "pictured", "note")
        return {name: getattr(self, name) for name in names}


def measures(profile: Profile) -> list[Measure]:
    """Return the measures that *profile* has: time only with a projection, activations only of a training step."""
    found = [
        _work("macs", "MACs", "MAC"),
        _work("flops", "FLOPs", "FLOP"),
        Measure("bytes", "bytes moved", "B", "size", lambda node: _moved(node.own)),
        _work("params", "parameters", ""),
        _work("trainable_params", "trainable", "", pictured=False),
        _work("uncounted", "uncounted calls", "", pictured=False),
    ]
    if profile.memory is not None and profile.memory.activations:
        kept = profile.memory.activations
        note = "bytes allocated in the forward and still live when the backward pass began"
        found.append(Measure("activations", "activations", "B", "size", _lookup(kept), note=note))
    seconds = seconds_by_module(profile)
    if seconds:
        note = "an estimate: each operator's estimated time, divided among its calls by their own bounds"
        found.append(Measure("estimate_s", "time (estimate)", "s", "seconds", _lookup(seconds), note=note))
    return found


def _work(key: str, label: str, unit: str, *, pictured: bool = True) -> Measure:
    return Measure(key, label, unit, "count", lambda node: int(getattr(node.own, key)), pictured)


def _moved(totals: Totals) -> int:
    return totals.bytes_read + totals.bytes_written


def _lookup(amounts: Mapping[str, float]) -> Callable[[Node], float]:
    return lambda node: amounts.get(node.module.path, 0)
