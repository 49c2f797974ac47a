"""The figures of a traced rank as plain numbers, by name: what is extended to other sizes of a world.

A number is linear in the blocks, the microbatches and the like. The peak of memory is not: it is the largest of many
levels, and which one that is changes with the sizes. So the level at each place of the step is a number of its own: at
an operator of a phase, in a module outside the blocks, or in a block counted from the first or from the last one,
before, in and after the first backward pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from profiler.devices import find_device
from profiler.projection.demand import Demand
from profiler.projection.device_pass import ProfileWork
from profiler.projection.project import project_pass
from profiler.projection.roofline import engine_seconds
from profiler.projection.time_model import kernel_seconds
from profiler.values.communication import Communication, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.projection.mode import Mode
    from profiler.tally import Profile
    from profiler.values.memory import Moment
    from profiler.values.records import Phase

#: Collectives of one kind: kind, axis, dtype, and the payload of one call in bytes.
Exchange = tuple[Kind, str, str, int]
_EXCHANGE, _REST = "exchange", "rest of exchange"
#: The part of a step that one of a single microbatch does not have.
LATER = "later"
#: Blocks that have levels of their own, from each end: those between are like the second from an end.
_ENDS = 2


@dataclass(frozen=True, slots=True)
class RankFigures:
    """The numbers of one rank of a traced step."""

    #: Counts, exact: MACs, parameters, calls of each kind of collective.
    counts: dict[str, int] = field(default_factory=dict)
    #: Estimated seconds.
    seconds: dict[str, float] = field(default_factory=dict)
    #: The most live bytes at each place of the step.
    levels: dict[str, int] = field(default_factory=dict)

    @property
    def peak_bytes(self) -> int:
        """The peak of memory."""
        return max(self.levels.values(), default=0)

    @property
    def exchanges(self) -> dict[Exchange, tuple[int, int]]:
        """The calls of each kind of collective, and the bytes of their payloads beyond that of one, times the calls."""
        rows: dict[Exchange, tuple[int, int]] = {}
        for name, calls in self.counts.items():
            kind, _, what = name.partition(":")
            if kind == _EXCHANGE and calls:
                collective, axis, dtype, payload = what.split(":")
                rest = self.counts.get(f"{_REST}:{what}", 0)
                rows[cast("Kind", collective), axis, dtype, int(payload)] = calls, rest
        return rows


def rank_figures(profile: Profile, blocks: Sequence[str], device: str, mode: Mode | None) -> RankFigures:
    """Return the figures of a profile whose timeline of memory has every moment.

    Args:
        profile: The step of a rank.
        blocks: The paths of the model's blocks; the rank may hold some of them.
        device: The device that its time is estimated on.
        mode: How the model runs there.
    """
    totals, memory = profile.totals, profile.memory
    counts = {"macs": totals.macs, "params": totals.params, "model_flops": profile.model_flops}
    present = {module.path for module in profile.modules}
    return RankFigures(
        counts | _calls(profile.communication),
        _seconds(profile, device, mode),
        _levels(memory.timeline if memory else (), [path for path in blocks if path in present]),
    )


def _calls(rows: Iterable[Communication]) -> Counter[str]:
    calls: Counter[str] = Counter()
    for row in rows:
        each, rest = divmod(row.payload_bytes, row.calls)
        what = f"{row.kind}:{row.axis}:{row.dtype}:{each}"
        calls[f"{_EXCHANGE}:{what}"] += row.calls
        if rest:  # calls of different sizes cannot be told apart in a row
            calls[f"{_REST}:{what}"] += rest
    return calls


def _seconds(profile: Profile, device: str, mode: Mode | None) -> dict[str, float]:
    """Return the parts of the estimate and of the bound that are sums over the operators."""
    work = ProfileWork(profile)
    target = find_device(device)
    _, device_pass = project_pass(work, target, Demand(None, None), mode=mode)
    device_s, launch_s = kernel_seconds(device_pass.works, target, device_pass.model)
    engines = engine_seconds(device_pass.works, target)
    return {
        "device": device_s,
        "launch": launch_s,
        "memory": device_pass.bound.memory_s,
        **{f"engine {name}": seconds for name, seconds in engines.items()},
    }


def _levels(moments: Iterable[Moment], blocks: list[str]) -> dict[str, int]:
    """Return the highest level at each place."""
    places = _places(blocks)
    levels: dict[str, int] = {}
    part = _Part(blocks)
    for moment in moments:
        block = next((path for path in _prefixes(moment.module) if path in places), None)
        part.enter(moment.phase, block)
        inner = moment.module if block is None else moment.module[len(block) :]
        what = f"{moment.phase}|{inner}|{moment.operator}"
        number = part.number(what, block)
        for place in ("",) if block is None else places[block]:
            name = f"{part.name}|{place}|{what}|{number}"
            levels[name] = max(levels.get(name, 0), moment.total)
    return levels


class _Part:
    """The part of a step: its first microbatch, others before the first backward pass, that pass, and what follows."""

    def __init__(self, blocks: list[str]) -> None:
        """Begin with the first microbatch."""
        self.name = "first forward"
        self._blocks = blocks
        self._block: str | None = None
        self._is_backward = False
        #: How often each block was visited in this pass, and each operator has run in the present visit.
        self._visits: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    def enter(self, phase: Phase, block: str | None) -> None:
        """Go on to the part in which a phase is in a block."""
        is_backward = phase in {"backward", "recompute"}
        starts_again = self._starts_again(block)
        if phase == "optimizer":
            self.name = phase
        elif is_backward:
            self.name = "first backward" if "forward" in self.name else self.name
        elif self.name == "first backward":
            self.name = LATER
        elif self.name == "first forward" and starts_again:
            self.name = "other forward"
        if starts_again or is_backward != self._is_backward:
            self._visits.clear()
        if block is not None and block != self._block:
            self._visits[block] += 1
            self._calls.clear()
            self._block = block
        self._is_backward = is_backward

    def number(self, what: str, block: str | None) -> str:
        """Return how often a block was visited in this pass, and how often an operator has run since.

        An optimizer may run an operator once for each parameter, which has no place of its own.
        """
        if self.name == "optimizer":
            return ""
        self._calls[what] += 1
        return f"{self._visits[block] if block else 0}.{self._calls[what]}"

    def _starts_again(self, block: str | None) -> bool:
        """Return whether a pass over the blocks begins that is in the same direction as the one before."""
        ends = (self._blocks[0], self._blocks[-1]) if self._blocks else ()
        return block != self._block and block in ends and self._block in ends and len(self._blocks) > 2  # noqa: PLR2004 - with two, each step is such a one


def _places(blocks: list[str]) -> dict[str, list[str]]:
    """Return the places of each block: counted from the first, and from the last."""
    last = len(blocks) - 1
    return {
        block: [f"block {i}"] * (i < _ENDS) + [f"block -{last - i + 1}"] * (last - i < _ENDS)
        for i, block in enumerate(blocks)
    }


def _prefixes(path: str) -> list[str]:
    """Return a path and those of its parents.

    Example:
        >>> _prefixes("model.layers.0")
        ['model', 'model.layers', 'model.layers.0']
    """
    parts = path.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
