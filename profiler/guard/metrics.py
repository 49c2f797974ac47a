"""What a limit can hold: a figure of the whole profile, or of a phase, of operators or of modules.

A figure is the sum of its amounts by module and operator, so that a total cannot disagree with where it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

from profiler.errors import BudgetError, UnknownNameError
from profiler.guard.device_metrics import project_metric
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
MEMORY = "(memory)"  # the place of a category of memory, which is no module's
#: The figures that there are of each part; "" is the whole.
FIGURES: dict[Part, tuple[str, ...]] = {
    "": (*WORK, *HELD, PEAK),
    "phases": (*WORK, PEAK),
    "operators": (*WORK, "calls"),
    "modules": (*WORK, *HELD),
    "devices": (),  # named with a rate; see ``project_metric``
}
UNITS = figures.UNITS | {"calls": "call", PEAK: "byte"}


class Place(NamedTuple):
    """Where an amount is: an operator in one dtype, of one module.

    What a module holds has its figure's name for an operator, as a category of memory has its own.
    """

    module: str
    operator: str
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, and of which part of the profile.

    The pattern is a phase's name, a device's, an operator's or a module's. The latter two may have ``*``, ``?`` and
    ``[…]``, which match dots too. A module has the work of all modules in it; of several that match, each piece of work
    counts once.
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
        """The unit of its values; TOPS are held in whole operations a second."""
        return UNITS.get(self.name, "op/s")

    def covers(self, record: OpRecord) -> bool:
        """Say whether a record is of this part."""
        if self.part == "phases":
            return record.phase == self.pattern
        if self.part == "operators":
            return fnmatchcase(record.packet, self.pattern) or fnmatchcase(record.operator, self.pattern)
        return self.covers_module(record.module)

    def covers_module(self, path: str) -> bool:
        """Say whether a module, or one that it is in, is of this part."""
        return self.part != "modules" or any(fnmatchcase(prefix, self.pattern) for prefix in _prefixes(path))


def value_of(profile: Profile, metric: Metric) -> int:
    """Give a figure of a profile.

    Raises:
        UnknownNameError: No module of the profile has the name.
        BudgetError: No module matches the pattern, or the profile does not have the figure.
    """
    if metric.part == "modules" and not any(map(metric.covers_module, profile.nodes)):
        _refuse_pattern(metric.pattern, profile)
    if metric.part == "devices":
        return project_metric(profile, metric.name, metric.pattern)
    return sum(amounts(profile, metric).values())


def amounts(profile: Profile, metric: Metric) -> dict[Place, int]:
    """Say where a figure is; places that have none of it are left out.

    That of a device is where the FLOPs are, in whole operations a second.
    """
    if metric.part == "devices":
        flops, needed = amounts(profile, Metric("flops")), value_of(profile, metric)
        return {place: needed * amount // sum(flops.values()) for place, amount in flops.items()}
    if metric.name == PEAK:
        found = peak_memory(profile, metric.pattern)
        return {Place(MEMORY, category): size for category, size in found.items() if size}
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
    """Give the bytes live at the peak of the whole, or of a phase, by category.

    Raises:
        BudgetError: The profile has none: it was made before peaks were observed, or the phase did not run.
    """
    found = next((t.peak_memory for name, t in profile.phases.items() if name == phase), profile.totals.peak_memory)
    if not found:
        where = f" in {phase}" if phase else ""
        msg = f"the profile of {profile.model} has no peak memory{where}; count it again, or leave `{PEAK}` out"
        raise BudgetError(msg)
    return {category: size for category, size in found.items() if category != "total"}


def _prefixes(path: str) -> Iterator[str]:
    """List a module's path and those of the modules that it is in, outermost first.

    Example:
        >>> list(_prefixes("layer1.0"))
        ['', 'layer1', 'layer1.0']
    """
    yield ""
    parts = path.split(".") if path else []
    yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _refuse_pattern(pattern: str, profile: Profile) -> None:
    if not any(sign in pattern for sign in "*?["):
        kind = "module"
        raise UnknownNameError(kind, pattern, (path for path in profile.nodes if path))
    top = ", ".join(repr(node.name) for node in profile.tree.children[:4] if node.module.type)
    msg = f"no module of {profile.model} matches {pattern!r}; its first are {top or 'none'}"
    raise BudgetError(msg)
