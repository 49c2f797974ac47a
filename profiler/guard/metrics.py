"""The figures that a limit can refer to: of the whole profile, of a phase, of operators or of modules.

A figure is the sum of its amounts by module and operator, so that a total cannot disagree with its parts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

from profiler.errors import BudgetError, UnknownNameError
from profiler.tally import figures
from profiler.tally.figures import HELD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from profiler.tally import Profile
    from profiler.values.records import OpRecord

Part = Literal["", "phases", "operators", "modules", "devices"]

#: The figures of work, derived ones and uncounted calls included.
WORK = tuple(name for name in figures.FIGURES if name not in HELD)
PEAK = "peak_memory"
MEMORY = "(memory)"  # stands for the module of a category of memory
#: The figures of each part; "" is the whole profile.
FIGURES: dict[Part, tuple[str, ...]] = {
    "": (*WORK, *HELD, PEAK),
    "phases": (*WORK, PEAK),
    "operators": (*WORK, "calls"),
    "modules": (*WORK, *HELD),
    "devices": (),  # their names contain a rate; see ``device_metrics``
}
UNITS = figures.UNITS | {"calls": "call", PEAK: "byte"}


class Place(NamedTuple):
    """Where an amount arises: an operator in one dtype, in one module.

    For parameters and buffers the operator is the name of the figure; for memory it is the category.
    """

    module: str
    operator: str
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a part of a profile.

    The pattern is the name of a phase, a device, an operator or a module. Names of operators and modules may contain
    ``*``, ``?`` and ``[…]``, which match dots too. A module includes its submodules; work that several patterns or
    modules match counts once.
    """

    name: str
    part: Part = ""
    pattern: str = ""

    @property
    def label(self) -> str:
        """The metric in a line of text.

        Example:
            >>> Metric("macs", "modules", "layer1.*").label
            'layer1.* macs'
        """
        if self.part == "devices":
            return f"{self.name} {self.pattern}"
        return f"{self.pattern} {self.name}".lstrip()

    @property
    def unit(self) -> str:
        """The unit of the values; TOPS are compared in whole operations per second."""
        return UNITS.get(self.name, "op/s")

    def covers(self, record: OpRecord) -> bool:
        """Return whether a record belongs to this part."""
        if self.part == "phases":
            return record.phase == self.pattern
        if self.part == "operators":
            return fnmatchcase(record.packet, self.pattern) or fnmatchcase(record.operator, self.pattern)
        return self.covers_module(record.module)

    def covers_module(self, path: str) -> bool:
        """Return whether a module, or one of its parents, belongs to this part."""
        return self.part != "modules" or any(fnmatchcase(prefix, self.pattern) for prefix in _prefixes(path))


def value_of(profile: Profile, metric: Metric) -> int:
    """Return the value of a figure of a profile.

    Raises:
        UnknownNameError: No module of the profile has the name.
        BudgetError: No module matches the pattern, or the profile does not have the figure.
    """
    if metric.part == "modules" and not any(map(metric.covers_module, profile.nodes)):
        _raise_no_match(metric.pattern, profile)
    if metric.part == "devices":
        from profiler.guard.device_metrics import project_metric  # noqa: PLC0415 - few limits are about a device

        return project_metric(profile, metric.name, metric.pattern)
    return sum(amounts(profile, metric).values())


def amounts(profile: Profile, metric: Metric) -> dict[Place, int]:
    """Return the amounts of a figure by place, without zeros.

    The operations per second of a device are distributed as the FLOPs are.
    """
    if metric.part == "devices":
        flops, needed = amounts(profile, Metric("flops")), value_of(profile, metric)
        return {place: needed * amount // sum(flops.values()) for place, amount in flops.items()}
    if metric.name == PEAK:
        categories = peak_memory(profile, metric.pattern)
        return {Place(MEMORY, category): size for category, size in categories.items() if size}
    if metric.name in HELD:
        held = ((m.path, getattr(m, metric.name)) for m in profile.modules if metric.covers_module(m.path))
        return {Place(path, metric.name): amount for path, amount in held if amount}
    work: Counter[Place] = Counter()
    for entry in profile.entries:
        record = entry.record
        if metric.covers(record):
            amount = record.calls if metric.name == "calls" else getattr(entry.totals, metric.name)
            work[Place(record.module, record.packet, entry.dtype)] += amount
    return {place: amount for place, amount in work.items() if amount}


def peak_memory(profile: Profile, phase: str = "") -> Mapping[str, int]:
    """Return the live bytes at the peak of the run, or of a phase, by category.

    Raises:
        BudgetError: The profile has no peak: it was saved by a version that recorded none, or the phase did not run.
    """
    peak = next((t.peak_memory for name, t in profile.phases.items() if name == phase), profile.totals.peak_memory)
    if not peak:
        where = f" in {phase}" if phase else ""
        msg = f"the profile of {profile.model} has no peak memory{where}; count it again, or leave `{PEAK}` out"
        raise BudgetError(msg)
    return {category: size for category, size in peak.items() if category != "total"}


def _prefixes(path: str) -> Iterator[str]:
    """Yield the path of a module and those of its parents, outermost first.

    Example:
        >>> list(_prefixes("layer1.0"))
        ['', 'layer1', 'layer1.0']
    """
    yield ""
    parts = path.split(".") if path else []
    yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _raise_no_match(pattern: str, profile: Profile) -> None:
    if not any(sign in pattern for sign in "*?["):
        kind = "module"
        raise UnknownNameError(kind, pattern, (path for path in profile.nodes if path))
    top = ", ".join(repr(node.name) for node in profile.tree.children[:4] if node.module.type)
    msg = f"no module of {profile.model} matches {pattern!r}; its first are {top or 'none'}"
    raise BudgetError(msg)
