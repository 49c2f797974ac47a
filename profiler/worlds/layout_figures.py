"""The figures of a layout: time of a step, what it is spent on, and memory, from the extended figures of its ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from profiler.devices import find_device
from profiler.devices.server import server_of
from profiler.projection.communication import ComputeTime, step_time
from profiler.projection.time_table import overlapped
from profiler.values.communication import Communication, wire_bytes
from profiler.worlds.rank_figures import LATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.projection.communication import StepTime
    from profiler.worlds.division import Division
    from profiler.worlds.extension import Verified
    from profiler.worlds.mesh import Mesh
    from profiler.worlds.rank_figures import RankFigures
    from profiler.worlds.role_families import Family, Part


#: ``exact``; a ``bound`` that it does not exceed; or an ``estimate``, where a level near the peak was not linear.
MemoryKind = Literal["exact", "bound", "estimate"]


@dataclass(frozen=True, slots=True)
class RankLayout:
    """The figures of a role in a layout."""

    part: Part
    macs: int
    params: int
    model_flops: int
    sent_bytes: int
    memory_bytes: int
    memory_kind: MemoryKind
    step: StepTime
    compute_s: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A division over a world, and how it trains a model."""

    division: Division
    checkpoint: bool
    microbatches: int
    roles: tuple[RankLayout, ...]
    #: Tokens (or samples) of a step of the whole world.
    tokens: int
    #: FLOPs of forward and backward of all ranks, without what checkpointing runs again.
    model_flops: int
    peak_ops_per_s: float

    @property
    def mesh(self) -> Mesh:
        """The mesh."""
        return self.division.mesh

    @property
    def slowest(self) -> RankLayout:
        """The role that sets the pace."""
        return max(self.roles, key=lambda role: role.step.estimate_s)

    @property
    def fullest(self) -> RankLayout:
        """The role that holds the most memory."""
        return max(self.roles, key=lambda role: role.memory_bytes)

    @property
    def step_s(self) -> float:
        """Estimated seconds of a step."""
        return self.slowest.step.estimate_s

    @property
    def bound_s(self) -> float:
        """Seconds below which no schedule is."""
        return max(role.step.bound_s for role in self.roles)

    @property
    def tokens_per_s(self) -> float:
        """Tokens of the whole world per estimated second."""
        return self.tokens / self.step_s

    @property
    def memory_bytes(self) -> int:
        """The peak of the role that holds the most."""
        return self.fullest.memory_bytes

    @property
    def mfu(self) -> float:
        """Model FLOPs in the estimated time, relative to the peak of all devices."""
        return self.model_flops / (self.step_s * self.mesh.world * self.peak_ops_per_s)

    @property
    def idle_s(self) -> float:
        """Seconds of a step in which the slowest role waits in the pipeline."""
        bubble = self.slowest.step.bubble
        return self.step_s * bubble / (1 + bubble)

    @property
    def exchange_s(self) -> float:
        """Seconds of a step in which the slowest role waits for exchanges."""
        return self.step_s - self.idle_s - self.slowest.compute_s


def evaluate(
    division: Division,
    parts: Sequence[tuple[Family, Verified, int]],
    microbatches: int,
    microbatch_tokens: int,
    device: str,
) -> Layout:
    """Return the layout of a division.

    Args:
        division: The mesh, and the ranks that divide experts.
        parts: The families of its ranks, their extensions, and the blocks that each rank holds.
        microbatches: Those of a data-parallel rank.
        microbatch_tokens: Tokens (or samples) of one of them.
        device: The id of the device.
    """
    mesh = division.mesh
    roles = tuple(_role(division, *part, microbatches, device) for part in parts)
    return Layout(
        division,
        parts[0][0].checkpoint,
        microbatches,
        roles,
        mesh.size("dp") * microbatches * microbatch_tokens,
        _model_flops(mesh, parts, roles, microbatches),
        find_device(device).peak("bf16"),
    )


def _role(
    division: Division, family: Family, extension: Verified, blocks: int, microbatches: int, device: str
) -> RankLayout:
    mesh = division.mesh
    sizes = family.sizes(blocks, mesh.size("pp"), microbatches, mesh.size("dp"))
    figures, is_sure = extension.at(sizes)
    if microbatches == 1:
        figures = replace(figures, levels={n: v for n, v in figures.levels.items() if not n.startswith(LATER)})
    exchanged = _exchanges(division, _stage(family.part, mesh), figures)
    compute_s, bound_s = _compute_s(figures.seconds)
    return RankLayout(
        family.part,
        figures.counts["macs"],
        figures.counts["params"],
        figures.counts["model_flops"],
        sum(row.wire_bytes for row in exchanged),
        figures.peak_bytes,
        _memory_kind(mesh, has_more=microbatches > sizes.in_flight, is_sure=is_sure),
        step_time(
            exchanged,
            server_of(device),
            compute=ComputeTime(bound_s, compute_s, compute_s, compute_s),
            stages=mesh.size("pp"),
            microbatches=microbatches,
        ),
        compute_s,
    )


def _memory_kind(mesh: Mesh, *, has_more: bool, is_sure: bool) -> MemoryKind:
    """Return how sure the memory is.

    A stage was traced with more microbatches than it holds at a time; one of as many holds less in its backward passes.
    """
    if not is_sure:
        return "estimate"
    return "exact" if has_more or mesh.size("pp") == 1 else "bound"


def _stage(part: Part, mesh: Mesh) -> int:
    return {"whole": 0, "first": 0, "middle": 1, "last": mesh.size("pp") - 1}[part]


def _compute_s(seconds: dict[str, float]) -> tuple[float, float]:
    """Return the estimated seconds of the computation, and those below which it cannot be."""
    engines = (value for name, value in seconds.items() if name.startswith("engine "))
    bound_s = max(*engines, seconds["memory"], 0.0)
    return max(overlapped(seconds["device"], seconds["launch"]), bound_s), bound_s


def _exchanges(division: Division, stage: int, figures: RankFigures) -> list[Communication]:
    """Return what the first rank of a stage exchanges, with the groups of the mesh."""
    mesh = division.mesh
    rank = stage * mesh.size("dp") * mesh.size("tp")
    rows = []
    for (kind, axis, dtype, each), (calls, rest) in figures.exchanges.items():
        group = division.group(rank, axis)
        payload = calls * each + rest
        wire = wire_bytes(kind, payload, len(group)) if rest else calls * wire_bytes(kind, each, len(group))
        rows.append(Communication(kind, axis, len(group), group, dtype, calls, payload, wire, "", "forward"))
    return rows


def _model_flops(
    mesh: Mesh, parts: Sequence[tuple[Family, Verified, int]], roles: Sequence[RankLayout], microbatches: int
) -> int:
    """Return the model FLOPs of all ranks; a middle stage that was not traced has those of the first one's blocks."""
    ranks = mesh.world // mesh.size("pp")
    flops = {role.part: role.model_flops for role in roles}
    middles = max(mesh.size("pp") - 2, 0)
    if middles and "middle" not in flops:
        family, extension, blocks = parts[0]
        sizes = family.sizes(blocks, mesh.size("pp"), microbatches, mesh.size("dp"))
        more, _ = extension.at(replace(sizes, blocks=blocks + 1))
        flops["middle"] = blocks * (more.counts["model_flops"] - flops["first"])
    return ranks * sum(each * (middles if part == "middle" else 1) for part, each in flops.items())
