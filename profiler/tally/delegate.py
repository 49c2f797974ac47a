"""``ProfileProperties``: the properties of a ``Profile``, for what holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.tally.presentation import Presentation

if TYPE_CHECKING:
    from profiler.tally.entry import Entry
    from profiler.tally.figures import Totals
    from profiler.tally.operator_tables import Operator, Uncounted
    from profiler.tally.tree import Module, Node
    from profiler.values.communication import Communication, ProcessGroup
    from profiler.values.data_flow import DataFlow
    from profiler.values.findings import Finding
    from profiler.values.memory import Memory
    from profiler.values.projection import Projection
    from profiler.values.records import Phase, Value


class ProfileProperties(Presentation):
    """The properties of ``result``; `profiler.Profile` documents each."""

    __slots__ = ()

    @property
    def model(self) -> str:
        """The class of the model."""
        return self.result.model

    @property
    def inputs(self) -> tuple[tuple[str, Value], ...]:
        """The inputs of the first call, by name."""
        return self.result.inputs

    @property
    def device(self) -> str:
        """The device of the model and its inputs."""
        return self.result.device

    @property
    def mode(self) -> str:
        """The mode of the modules: ``eval``, ``train``, or ``mixed``."""
        return self.result.mode

    @property
    def notes(self) -> tuple[str, ...]:
        """What readers of the counts have to know."""
        return self.result.notes

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of what counted."""
        return self.result.versions

    @property
    def params_by_dtype(self) -> tuple[tuple[str, int], ...]:
        """The elements of the parameters, by dtype."""
        return self.result.params_by_dtype

    @property
    def param_bytes(self) -> int | None:
        """The bytes that hold the parameters."""
        return self.result.param_bytes

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules of the model, as they were observed."""
        return self.result.modules

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The distinct operator calls, each with its cost."""
        return self.result.entries

    @property
    def convention(self) -> str:
        """What the figures mean, in one line."""
        return self.result.convention

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What other counters and documents claim, and why they differ."""
        return self.result.findings

    @property
    def projection(self) -> Projection | None:
        """The projection onto a device, if there is one."""
        return self.result.projection

    @property
    def memory(self) -> Memory | None:
        """The live storages over time, and their peak."""
        return self.result.memory

    @property
    def flow(self) -> DataFlow | None:
        """The operator calls in order, and the storages that each reads and writes."""
        return self.result.flow

    @property
    def totals(self) -> Totals:
        """The costs of the whole run, with the peak of live memory."""
        return self.result.totals

    @property
    def phases(self) -> dict[Phase, Totals]:
        """The work of each phase."""
        return self.result.phases

    @property
    def tree(self) -> Node:
        """The root of the tree of modules."""
        return self.result.tree

    @property
    def nodes(self) -> dict[str, Node]:
        """Every node of the tree by the path of its module."""
        return self.result.nodes

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators by dtype, most FLOPs first."""
        return self.result.operators

    @property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """The operators that no rule counts."""
        return self.result.uncounted

    @property
    def macs(self) -> int:
        """The MACs of the whole run."""
        return self.totals.macs

    @property
    def flops(self) -> int:
        """The FLOPs of the whole run, 2·MACs + other FLOPs."""
        return self.totals.flops

    @property
    def params(self) -> int:
        """The elements of the parameters, each storage once."""
        return self.totals.params

    @property
    def model_flops(self) -> int:
        """FLOPs of forward and backward, the basis of MFU."""
        return self.result.model_flops

    @property
    def hardware_flops(self) -> int:
        """Model FLOPs and recomputed FLOPs, the basis of HFU."""
        return self.result.hardware_flops

    @property
    def samples(self) -> int:
        """The batch size."""
        return self.result.samples

    @property
    def tokens(self) -> int | None:
        """Batch × sequence length if the input holds token ids; otherwise None."""
        return self.result.tokens

    @property
    def is_complete(self) -> bool:
        """Whether every operator that ran is counted or free."""
        return self.result.is_complete

    @property
    def groups(self) -> tuple[ProcessGroup, ...]:
        """The process groups in which collectives took place."""
        return self.result.groups

    @property
    def global_params(self) -> int | None:
        """The parameters of the whole model, over all ranks."""
        return self.result.global_params

    @property
    def communication(self) -> tuple[Communication, ...]:
        """What this rank exchanges with others."""
        return self.result.communication

    @property
    def upper_bounds(self) -> tuple[Uncounted, ...]:
        """The operators counted at more than ran."""
        return self.result.upper_bounds
