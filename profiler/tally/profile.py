"""``Profile``: the cost of a model's run, by module, operator, dtype and phase.

A profile stores the modules, and the cost of each distinct operator call. Totals, tree and tables are computed from
these, so that they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

from profiler.errors import InputError
from profiler.tally.communication import communication_table
from profiler.tally.entry import Entry, merge_entries, sum_entries
from profiler.tally.figures import HELD, Totals
from profiler.tally.named_table import NamedTable
from profiler.tally.operator_tables import Operator, Uncounted, operator_table, uncounted_table, upper_bound_table
from profiler.tally.presentation import Presentation
from profiler.tally.tree import Module, Node, build_tree, iter_nodes
from profiler.values.records import OUTSIDE, PHASES, Phase, Value, tensors

if TYPE_CHECKING:
    from profiler.values.communication import Communication, ProcessGroup
    from profiler.values.data_flow import DataFlow
    from profiler.values.findings import Finding
    from profiler.values.memory import Memory
    from profiler.values.projection import Projection

CONVENTION = (
    "1 MAC = 1 fused multiply-add of a contraction; FLOPs = 2·MACs + other FLOPs; transcendentals are apart; "
    "bytes: each operand read once, each result written once; a view moves nothing"
)


@dataclass(frozen=True, repr=False)
class Profile(Presentation):
    """The cost of one or several runs of a model. Frozen; needs neither the model nor torch's device any more.

    ``totals`` is the whole, ``phases`` splits it into forward, backward, recompute and optimizer, ``nodes`` by module
    path, ``operators`` by operator and dtype. ``uncounted`` lists operators that no formula covers: if there are any,
    the totals are lower bounds. Units: MACs, FLOPs, transcendental operations, bytes, elements; see ``CONVENTION``.
    ``macs``, ``flops`` and ``params`` are short for those of ``totals``. Two profiles of the same model can be added.
    ``print(profile)`` writes the text report, ``repr(profile)`` one line.

    Example:
        >>> import torch, profiler
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> p = profiler.count(model, torch.empty(4, 20, device="meta"))
        >>> p.totals.macs, p.totals.other_flops, p.totals.flops
        (2400, 120, 4920)
        >>> p
        <Profile of Linear · input 4×20 float32 · meta: 2.400 kMAC, 4.920 kFLOP, 630 parameters>
    """

    model: str
    inputs: tuple[tuple[str, Value], ...]
    device: str
    versions: tuple[tuple[str, str], ...]
    params_by_dtype: tuple[tuple[str, int], ...]
    modules: tuple[Module, ...]
    entries: tuple[Entry, ...]
    convention: str = CONVENTION
    #: What other counters and documents claim of one forward pass, and why they differ.
    findings: tuple[Finding, ...] = ()
    #: The projection onto a device, if one was asked for; a sum of profiles has none.
    projection: Projection | None = None
    #: The live storages over time, and their peak.
    memory: Memory | None = None
    #: The bytes that hold the parameters, with the scales of quantized ones; None in profiles saved by older versions.
    param_bytes: int | None = None
    #: The operator calls in order, and the storages that each reads and writes; None if there were too many calls,
    #: of a sum of profiles, and in profiles saved by older versions.
    flow: DataFlow | None = None
    #: The process groups of ``torch.distributed`` in which the run's collectives took place.
    groups: tuple[ProcessGroup, ...] = ()
    #: The parameters of the whole model, of which ``totals.params`` are this rank's; None in profiles saved by older
    #: versions.
    global_params: int | None = None
    #: The mode of the modules: ``eval``, ``train``, or ``mixed``; empty without a model, and in profiles saved by older
    #: versions. Dropout and batch norm do other work in each.
    mode: str = ""
    #: What readers of the counts have to know, such as that only the text of a multimodal model ran.
    notes: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, object]:
        """Return the fields alone: what is computed from them is computed again, and a tree may be very deep."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def result(self) -> Profile:
        """The profile itself: ``.result`` is the profile of either a `Profile` or a `profile`."""
        return self

    @cached_property
    def totals(self) -> Totals:
        """The costs of the whole run, with the peak of live memory."""
        peak = dict(self.memory.peak.bytes) if self.memory else {}
        held = {name: sum(getattr(module, name) for module in self.modules) for name in HELD}
        work = sum_entries(self.entries) if self._is_all_in_tree() else self.tree.total
        return replace(work, **held, peak_memory=peak, global_params=self.global_params)

    def _is_all_in_tree(self) -> bool:
        """Return whether every entry is of a module that is left, or of none."""
        paths = {module.path for module in self.modules} | {"", OUTSIDE}
        return paths.issuperset(entry.record.module for entry in self.entries)

    @cached_property
    def phases(self) -> dict[Phase, Totals]:
        """The work of each phase; parameters belong to no phase and are 0 here."""
        peaks = {phase: dict(moment.bytes) for phase, moment in self.memory.phases.items()} if self.memory else {}
        rows = {
            phase: replace(
                sum_entries([e for e in self.entries if e.record.phase == phase]), peak_memory=peaks.get(phase, {})
            )
            for phase in PHASES
        }
        return NamedTable("phase", rows)

    @cached_property
    def tree(self) -> Node:
        """The root of the tree of modules; work outside every forward is the child ``(outside)`` of the root."""
        return build_tree(self.model, self.modules, self.entries)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node of the tree by the path of its module; the root is ``""``.

        A path that no module has raises an ``UnknownKeyError``, a ``KeyError`` whose message has the nearest paths.
        """
        return NamedTable("module", {node.module.path: node for node in iter_nodes(self.tree)})

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """The operators by dtype, most FLOPs first; free operators come last."""
        return operator_table(self.entries)

    @cached_property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """The operators that no rule counts, most called first."""
        return uncounted_table(self.entries)

    @cached_property
    def communication(self) -> tuple[Communication, ...]:
        """What this rank exchanges with others: by kind, process group, dtype, module and phase."""
        return communication_table((e.record for e in self.entries), self.groups)

    @cached_property
    def upper_bounds(self) -> tuple[Uncounted, ...]:
        """The operators counted at more than ran: attention on packed sequences whose lengths have no values on meta.

        Every query counts there as if it attends to all keys of the longest sequence. On a device with values the count
        is that of the sequences.
        """
        return upper_bound_table(self.entries)

    @property
    def macs(self) -> int:
        """The MACs of the whole run: ``totals.macs``."""
        return self.totals.macs

    @property
    def flops(self) -> int:
        """The FLOPs of the whole run, 2·MACs + other FLOPs: ``totals.flops``."""
        return self.totals.flops

    @property
    def params(self) -> int:
        """The elements of the parameters, each storage once: ``totals.params``."""
        return self.totals.params

    @property
    def model_flops(self) -> int:
        """FLOPs of forward and backward, the basis of model FLOPs utilisation (MFU)."""
        return self.phases["forward"].flops + self.phases["backward"].flops

    @property
    def hardware_flops(self) -> int:
        """Model FLOPs and the recomputed FLOPs of activation checkpointing, the basis of HFU."""
        return self.model_flops + self.phases["recompute"].flops

    @property
    def samples(self) -> int:
        """The batch size: the first dimension of the first tensor input, or 1 if there is none."""
        first = next((spec for _, value in self.inputs for spec in tensors(value)), None)
        return first.shape[0] if first is not None and first.shape else 1

    @property
    def tokens(self) -> int | None:
        """Batch × sequence length if the first tensor input holds token ids (2-D integers); otherwise None."""
        first = next((spec for _, value in self.inputs for spec in tensors(value)), None)
        if first is None or len(first.shape) != 2 or first.is_floating:  # noqa: PLR2004 - batch and sequence
            return None
        return first.shape[0] * first.shape[1]

    @property
    def is_complete(self) -> bool:
        """Whether every operator that ran is counted or free; if not, the totals are lower bounds."""
        return not self.uncounted

    def __add__(self, other: Profile) -> Profile:
        """Add the costs of two runs of the same model; the result shows the inputs of the first.

        Raises:
            InputError: The two are not of the same model.
        """
        mine, theirs = ([(m.path, m.type, m.params) for m in p.modules] for p in (self, other))
        if mine != theirs:
            msg = f"cannot add profiles of different models: {self.model} and {other.model} differ in their modules"
            raise InputError(msg)
        modules = tuple(
            replace(m, calls=m.calls + o.calls, outputs=m.outputs or o.outputs, inputs=m.inputs or o.inputs)
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
            flow=None,
            groups=tuple(dict.fromkeys((*self.groups, *other.groups))),
            mode=self.mode if self.mode == other.mode else "mixed",
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )
