"""``Profile``: what a model's run cost, by module, operator, dtype and phase.

It stores what was observed and what each distinct operator call costs. Totals, tree and tables are computed from
those, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.errors import InputError
from profiler.tally.entry import UNCOUNTED, Entry, group_entries, merge_entries
from profiler.tally.figures import Totals, sum_totals
from profiler.tally.tree import Module, Node, build_tree, walk
from profiler.values.records import PHASES, Phase, Value, tensors

if TYPE_CHECKING:
    from pathlib import Path

    from profiler.values.findings import Finding
    from profiler.values.memory import Memory
    from profiler.values.projection import Projection

CONVENTION = (
    "1 MAC = 1 fused multiply-add of a contraction; FLOPs = 2·MACs + other FLOPs; transcendentals are apart; "
    "bytes: each operand read once, each result written once; a view moves nothing"
)


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
                sum_totals(e.totals for e in self.entries if e.record.phase == phase), peak_memory=peaks.get(phase, {})
            )
            for phase in PHASES
        }

    @cached_property
    def tree(self) -> Node:
        """The modules by path. Work outside every module's forward is a child of the root."""
        return build_tree(self.model, self.modules, self.entries)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node of the tree by its path."""
        return {node.module.path: node for node in walk(self.tree)}

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """The operators by dtype, costliest first; a free one costs nothing and comes last."""
        groups = group_entries(self.entries, lambda e: (e.record.packet, e.dtype))
        rows = [
            Operator(name, dtype, sum(e.record.calls for e in es), sum_totals(e.totals for e in es))
            for (name, dtype), es in groups.items()
        ]
        return tuple(sorted(rows, key=lambda r: (-r.totals.flops, -r.totals.bytes_read, r.operator, r.dtype)))

    @cached_property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """What no rule counts, most called first."""
        groups = group_entries((e for e in self.entries if e.kind == UNCOUNTED), lambda e: e.record.operator)
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
            entries=merge_entries((*self.entries, *other.entries)),
            findings=findings,
            projection=None,
            memory=self.memory | other.memory if self.memory and other.memory else self.memory or other.memory,
        )

    def __str__(self) -> str:
        """Write the text report, three levels deep."""
        from profiler.report import render  # noqa: PLC0415 - a report is built on a profile; only this asks for one

        return render(self, "text")
