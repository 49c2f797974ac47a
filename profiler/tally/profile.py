"""``Profile``: what a model's run cost, by module, operator, dtype and phase.

It stores what was observed and what each distinct operator call costs. Totals, tree and tables are computed from
those, so that they cannot disagree.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from profiler.errors import InputError
from profiler.records import PHASES, OpRecord, Phase, Shape, Value, tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from profiler.claims import Finding
    from profiler.memory import Memory, Table
    from profiler.projection import Projection

CONVENTION = (
    "1 MAC = 1 fused multiply-add of a contraction; FLOPs = 2·MACs + other FLOPs; transcendentals are apart; "
    "bytes: each operand read once, each result written once; a view moves nothing"
)
_OUTSIDE = "(outside)"
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Totals:
    """A sum of work. The unit of each is in its name's own line of the convention."""

    macs: int = 0
    masked_macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    params: int = 0
    trainable_params: int = 0
    buffers: int = 0
    #: Calls of operators that no rule counts: with any, the others are lower bounds.
    uncounted: int = 0
    #: Of the whole and of a phase: bytes live at the peak, by category, with their "total".
    peak_memory: Table = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Two for each MAC, and the rest."""
        return 2 * self.macs + self.other_flops

    def __add__(self, other: Totals) -> Totals:
        """Sum field by field; a sum of work has no peak of its own."""
        return Totals(*(getattr(self, f) + getattr(other, f) for f in _SUMMED))


_SUMMED = tuple(f.name for f in fields(Totals) if f.name != "peak_memory")
_figures = attrgetter(*_SUMMED)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and what **one** of its calls costs."""

    record: OpRecord
    #: The kind of rule: "formula", "pointwise", "moves", "free", "foreign", or "uncounted".
    kind: str
    dtype: str
    macs: int = 0
    masked_macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def totals(self) -> Totals:
        """The work of all its calls."""
        n = self.record.calls
        return Totals(
            macs=n * self.macs,
            masked_macs=n * self.masked_macs,
            other_flops=n * self.other_flops,
            transcendentals=n * self.transcendentals,
            bytes_read=n * self.bytes_read,
            bytes_written=n * self.bytes_written,
            uncounted=n if self.kind == "uncounted" else 0,
        )


@dataclass(frozen=True, slots=True)
class Module:
    """One module of the model, as observed."""

    path: str
    type: str
    calls: int
    params: int
    trainable_params: int
    buffers: int
    #: Shapes of the tensors that its first call returned.
    outputs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A module in the tree: its own work, and with its children's."""

    module: Module
    own: Totals
    total: Totals
    children: tuple[Node, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.module.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of the operator table."""

    operator: str
    dtype: str
    calls: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An operator that no rule counts."""

    operator: str
    calls: int


@dataclass(frozen=True)
class Profile:
    """What one or several runs of a model cost.

    Example:
        >>> import torch, profiler
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> p = profiler.count(model, torch.empty(4, 20, device="meta"))
        >>> p.totals.macs, p.totals.other_flops, p.totals.flops
        (2400, 120, 4920)
    """

    model: str
    inputs: tuple[tuple[str, Value], ...]
    device: str
    versions: tuple[tuple[str, str], ...]
    params_by_dtype: tuple[tuple[str, int], ...]
    modules: tuple[Module, ...]
    entries: tuple[Entry, ...]
    convention: str = CONVENTION
    #: What other sources say of one forward pass, and why.
    findings: tuple[Finding, ...] = ()
    #: What it takes on a device; of this profile alone, so that a sum has none.
    projection: Projection | None = None
    #: What was live, and when.
    memory: Memory | None = None

    @cached_property
    def totals(self) -> Totals:
        """Everything: the root of the tree, and the peak of memory."""
        return replace(self.tree.total, peak_memory=dict(self.memory.peak.bytes) if self.memory else {})

    @cached_property
    def phases(self) -> dict[Phase, Totals]:
        """The work by phase; parameters are not of a phase."""
        peaks = {phase: dict(moment.bytes) for phase, moment in self.memory.phases.items()} if self.memory else {}
        return {
            phase: replace(
                _sum(e.totals for e in self.entries if e.record.phase == phase), peak_memory=peaks.get(phase, {})
            )
            for phase in PHASES
        }

    @cached_property
    def tree(self) -> Node:
        """The modules by path. Work outside every module's forward is a child of the root."""
        return _tree(self)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node of the tree by its path."""
        return {node.module.path: node for node in _walk(self.tree)}

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """The operators by dtype, costliest first; a free one costs nothing and comes last."""
        groups = _grouped(self.entries, lambda e: (e.record.packet, e.dtype))
        rows = [
            Operator(name, dtype, sum(e.record.calls for e in es), _sum(e.totals for e in es))
            for (name, dtype), es in groups.items()
        ]
        return tuple(sorted(rows, key=lambda r: (-r.totals.flops, -r.totals.bytes_read, r.operator, r.dtype)))

    @cached_property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """What no rule counts, most called first."""
        groups = _grouped((e for e in self.entries if e.kind == "uncounted"), lambda e: e.record.operator)
        rows = [Uncounted(name, sum(e.record.calls for e in es)) for name, es in groups.items()]
        return tuple(sorted(rows, key=lambda r: (-r.calls, r.operator)))

    @property
    def model_flops(self) -> int:
        """FLOPs of forward and backward: what the model asks for, on which MFU is based."""
        return self.phases["forward"].flops + self.phases["backward"].flops

    @property
    def hardware_flops(self) -> int:
        """Model FLOPs and those of the forward work that checkpointing repeats, on which HFU is based."""
        return self.model_flops + self.phases["recompute"].flops

    @property
    def samples(self) -> int:
        """The leading dimension of the first input; 1 where there is none."""
        first = next((spec for _, value in self.inputs for spec in tensors(value)), None)
        return first.shape[0] if first is not None and first.shape else 1

    @property
    def tokens(self) -> int | None:
        """The elements of a first input that is a batch of integer sequences; None for any other input."""
        first = next((spec for _, value in self.inputs for spec in tensors(value)), None)
        if first is None or len(first.shape) != 2 or first.is_floating:  # noqa: PLR2004 - batch and sequence
            return None
        return first.shape[0] * first.shape[1]

    @property
    def is_complete(self) -> bool:
        """Whether every operator that ran is counted or free."""
        return not self.uncounted

    def save(self, path: str | Path) -> None:
        """Write the profile as JSON, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        from profiler.tally.saved import save  # noqa: PLC0415 - saved.py is built on this file

        save(self, path)

    def __add__(self, other: Profile) -> Profile:
        """Sum two runs of the same model; the inputs shown are the first run's.

        Raises:
            InputError: The two are not of the same model.
        """
        mine, theirs = ([(m.path, m.type, m.params) for m in p.modules] for p in (self, other))
        if mine != theirs:
            msg = f"cannot add profiles of different models: {self.model} and {other.model} differ in their modules"
            raise InputError(msg)
        modules = tuple(
            replace(m, calls=m.calls + o.calls, outputs=m.outputs or o.outputs)
            for m, o in zip(self.modules, other.modules, strict=True)
        )
        findings = tuple(dict.fromkeys((*self.findings, *other.findings)))
        return replace(
            self,
            modules=modules,
            entries=_merged((*self.entries, *other.entries)),
            findings=findings,
            projection=None,
            memory=self.memory | other.memory if self.memory and other.memory else self.memory or other.memory,
        )

    def __str__(self) -> str:
        """Write the text report, three levels deep."""
        from profiler.report import render  # noqa: PLC0415 - a report is built on a profile; only this asks for one

        return render(self, "text")


def _merged(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Join entries that differ in nothing but their calls."""
    groups = _grouped(entries, lambda e: replace(e, record=replace(e.record, calls=0)))
    return tuple(
        replace(key, record=replace(key.record, calls=sum(e.record.calls for e in es))) for key, es in groups.items()
    )


def _tree(profile: Profile) -> Node:
    own: dict[str, Totals] = defaultdict(Totals)
    for path, entries in _grouped(profile.entries, lambda e: e.record.module).items():
        own[path] = _sum(e.totals for e in entries)
    modules = {m.path: m for m in profile.modules}
    modules.setdefault("", Module("", profile.model, 0, 0, 0, 0, ()))
    if _OUTSIDE in own:
        modules[_OUTSIDE] = Module(_OUTSIDE, "", 0, 0, 0, 0, ())
    children: dict[str, list[Module]] = defaultdict(list)
    for path, module in modules.items():
        if path:
            children[path.rpartition(".")[0]].append(module)
    return _node(modules[""], own, children)


def _node(module: Module, own: dict[str, Totals], children: dict[str, list[Module]]) -> Node:
    below = tuple(_node(child, own, children) for child in children[module.path])
    held = Totals(params=module.params, trainable_params=module.trainable_params, buffers=module.buffers)
    mine = own[module.path] + held
    return Node(module, mine, _sum((mine, *(child.total for child in below))), below)


def _walk(node: Node) -> Iterable[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _sum(totals: Iterable[Totals]) -> Totals:
    """Sum column by column: a sum of two makes a value for each step, which in a large tree is most of the time."""
    sums: Iterable[Any] = map(sum, zip(*map(_figures, totals), strict=True))
    return Totals(*sums)


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], _K]) -> dict[_K, list[Entry]]:
    groups: dict[_K, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups
