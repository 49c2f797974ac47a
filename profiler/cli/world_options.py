"""The options ``--world``, ``--mesh`` and those that say how the axes of the mesh are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from profiler.cli.subjects import DISTRIBUTED
from profiler.errors import InputError
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.roles import check_rank

if TYPE_CHECKING:
    from profiler.cli.device_options import DeviceOptions
    from profiler.tally import Profile
    from profiler.worlds.plan import DataParallel
    from profiler.worlds.step import Step

_WORLD = "Count the ranks of a world of so many devices, on this machine; --mesh says how they are arranged."
_MESH = "Axes of the mesh with their sizes, such as `dp=8,tp=8,pp=16`; the axes are pp, replicate, dp, cp and tp."
_DDP = "Replicate the model along the axis dp, with DistributedDataParallel."
_FSDP = "Shard parameters, gradients and optimizer states along the axis dp, with FSDP2."
_HSDP = "Shard along the axis dp with FSDP2, and replicate along the axis replicate."
_TP = "How layers are divided along the axis tp: `auto`, as transformers does, or `FILE.py:NAME`, a dict of styles."
_SCHEDULE = "Schedule of the pipeline along the axis pp: `1f1b`, `gpipe`, or `interleaved:2` with 2 stages on a rank."
_MICROBATCHES = "Into how many parts the batch of a rank is divided; without a pipeline, their gradients accumulate."
_CONTEXT = (
    "How many ranks share each sequence, with torch's ring attention: the axis cp. They are ranks of the axis dp, "
    "unless --world has room for them beside it."
)
_EXPERTS = (
    "Over how many ranks of the axes dp, cp and tp the experts of a layer are divided; routing is taken as balanced."
)
_RANK = "Count this rank alone, and show its whole report in any format."
_ROLES = "Count one rank of each distinct role; the default without --rank."


@Parameter(name="*", group=DISTRIBUTED)
@dataclass(frozen=True, slots=True)
class WorldOptions:
    """A world of several ranks; without --world and --mesh the model runs in one process."""

    world: Annotated[int | None, Parameter(help=_WORLD)] = None
    mesh: Annotated[str | None, Parameter(help=_MESH)] = None
    ddp: Annotated[bool, Parameter(help=_DDP)] = False
    fsdp: Annotated[bool, Parameter(help=_FSDP)] = False
    hsdp: Annotated[bool, Parameter(help=_HSDP)] = False
    tp_plan: Annotated[str | None, Parameter(help=_TP)] = None
    schedule: Annotated[str, Parameter(help=_SCHEDULE)] = "1f1b"
    microbatches: Annotated[int, Parameter(help=_MICROBATCHES)] = 1
    context_parallel: Annotated[int, Parameter(help=_CONTEXT)] = 1
    expert_parallel: Annotated[int, Parameter(help=_EXPERTS)] = 1
    rank: Annotated[int | None, Parameter(help=_RANK)] = None
    roles: Annotated[bool, Parameter(help=_ROLES)] = False

    @property
    def is_given(self) -> bool:
        """Whether a world is asked for."""
        return self.world is not None or self.mesh is not None

    def check(self) -> None:
        """Raise if an option of a world is given without one.

        Raises:
            InputError: --world or --mesh is missing.
        """
        if not self.is_given and self != NO_WORLD:
            msg = "the options of a world need one; add --world and --mesh, such as --world 8 --mesh dp=4,tp=2"
            raise InputError(msg)
        if self.is_given and self.mesh is None:
            msg = f"--world {self.world} does not say how ranks are arranged; add --mesh dp={self.world} or the like"
            raise InputError(msg)
        if self.rank is not None and self.roles:
            msg = "--rank counts one rank and --roles one of each role; give one of them"
            raise InputError(msg)

    def plan(self, autocast: str | None) -> ParallelPlan:
        """Return the plan; *autocast* is the dtype of FSDP's gathered parameters.

        Raises:
            InputError: The mesh and the options do not fit.
        """
        mesh = parse_mesh(self.mesh or "", self.world, self.context_parallel)
        way = self._data_parallel()
        experts = self.expert_parallel
        return ParallelPlan(mesh, way, self.tp_plan, self.schedule, self.microbatches, autocast, experts)

    def one_rank(self, step: Step, autocast: str | None, against: tuple[str, ...]) -> Profile | None:
        """Return the profile of the rank that was asked for, compared with counters; None if that is all roles.

        Raises:
            InputError: The counters cannot count a rank, or there is none.
        """
        plan = self.plan(autocast)
        if against:
            from profiler.worlds.rank_findings import check_counters

            check_counters(against, has_rank=self.rank is not None)
        if self.rank is None:
            return None
        from profiler.worlds.worker import profile_in_process

        check_rank(self.rank, plan)
        return profile_in_process(step, plan, self.rank, against)

    def rank_title(self, target: str, autocast: str | None) -> str:
        """Return the title of the report on one rank."""
        return f"{target} · rank {self.rank} of {self.plan(autocast).mesh}"

    def roles_report(self, step: Step, autocast: str | None, form: str, device: DeviceOptions) -> str:
        """Trace the roles of the world, project them onto the *device* if one is named, and return the report.

        Raises:
            InputError: The format shows a single profile.
        """
        if form not in {"text", "json", "csv", "markdown"}:
            msg = f"--format {form} shows one rank; add --rank, or choose text, json, csv or markdown for all roles"
            raise InputError(msg)
        from profiler.report.world_tables import RoleRow, world_csv, world_json, world_markdown, world_text
        from profiler.worlds.world import trace_roles

        plan = self.plan(autocast)
        device.check_links()
        world = trace_roles(step, plan)
        times = device.world_time(world)
        pairs = zip(world.roles, world.profiles, strict=True)
        rows = [RoleRow(role.name, role.ranks, role.rank, profile) for role, profile in pairs]
        if form == "json":
            return world_json(str(plan.mesh), rows, times)
        if form == "csv":
            return world_csv(rows)
        write = world_markdown if form == "markdown" else world_text
        return write(_heading(step, plan), rows, times)

    def _data_parallel(self) -> DataParallel:
        ways: dict[DataParallel, bool] = {"ddp": self.ddp, "fsdp": self.fsdp, "hsdp": self.hsdp}
        chosen = [way for way, is_given in ways.items() if is_given]
        if len(chosen) > 1:
            msg = f"--{chosen[0]} and --{chosen[1]} use the axis dp in two ways; give one of them"
            raise InputError(msg)
        return chosen[0] if chosen else "none"


def _heading(step: Step, plan: ParallelPlan) -> str:
    parts = [step.target, *step.specs, f"{plan.mesh.world} ranks: {plan.mesh}"]
    parts += [plan.data_parallel] if plan.data_parallel != "none" else []
    parts += [plan.schedule] if plan.mesh.size("pp") > 1 else []
    parts += [f"{plan.microbatches} microbatches"] if plan.microbatches > 1 else []
    parts += [f"experts over {plan.expert_parallel} ranks, balanced routing"] if plan.expert_parallel > 1 else []
    return " · ".join(parts)


NO_WORLD = WorldOptions()
