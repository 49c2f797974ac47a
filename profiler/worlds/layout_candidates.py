"""The candidates of a search for layouts: how a world may divide, and what does not divide the model or the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import lcm
from typing import TYPE_CHECKING

from profiler.errors import InputError
from profiler.worlds.division import Division
from profiler.worlds.mesh import AXES, Mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.role_families import SHARDS, Family, Part
from profiler.worlds.shortened import divides_evenly, experts_of
from profiler.worlds.stages import block_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.projection.mode import Mode
    from profiler.worlds.shortened import Stack
    from profiler.worlds.step import Step

_MOST_RANKS = 2**17


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched for."""

    #: The model, and its step of one microbatch.
    step: Step
    world: int
    device: str
    #: Tokens (or samples) of a step of the whole world, and of one microbatch.
    batch_tokens: int
    microbatch_tokens: int
    #: Whether blocks are checkpointed; None to try both.
    checkpoint: bool | None = None
    mode: Mode | None = None

    def __post_init__(self) -> None:
        """Validate the numbers.

        Raises:
            InputError: One is out of range.
        """
        if not 1 <= self.world <= _MOST_RANKS:
            msg = f"a world of {self.world} ranks cannot be laid out; write a number from 1 to {_MOST_RANKS}"
            raise InputError(msg)
        if self.batch_tokens < self.microbatch_tokens:
            msg = (
                f"a batch of {self.batch_tokens} tokens is less than one sequence of {self.microbatch_tokens}; "
                "raise --batch-tokens, or lower --sequence"
            )
            raise InputError(msg)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A division and a way to run it, not yet known to fit."""

    division: Division
    checkpoint: bool
    #: Microbatches of a data-parallel rank, of the step's batch each.
    microbatches: int
    #: The families of its ranks, each with the blocks that such a rank holds.
    parts: tuple[tuple[Family, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A division that does not train the model, and why."""

    division: Division
    checkpoint: bool
    reason: str


def candidates_of(search: Search, stack: Stack, domain: int) -> tuple[list[Candidate], list[Dropped]]:
    """Return the divisions of the world, and those that do not divide the model or the batch."""
    candidates, dropped = [], []
    choices = (False, True) if search.checkpoint is None else (search.checkpoint,)
    experts = experts_of(search.step.target, search.step.dtype)
    for mesh in _meshes(search.world, domain, stack.units):
        for division, checkpoint in product(_divisions(mesh, experts, domain), choices):
            try:
                candidates.append(_candidate(division, search, stack, checkpoint=checkpoint))
            except InputError as error:
                dropped.append(Dropped(division, checkpoint, str(error)))
    return candidates, dropped


def _meshes(world: int, domain: int, units: int) -> Iterator[Mesh]:
    for tp in (n for n in range(1, min(domain, world) + 1) if world % n == 0):
        for pp in (n for n in range(1, units + 1) if world // tp % n == 0):
            sizes = {"pp": pp, "dp": world // tp // pp, "tp": tp}
            yield Mesh(tuple((axis, sizes[axis]) for axis in AXES if sizes.get(axis, 1) > 1 or axis == "dp"))


def _divisions(mesh: Mesh, experts: int, domain: int) -> list[Division]:
    """Return a mesh with whole layers of experts, and with experts over the most ranks of a server, and of the world.

    Example:
        >>> [str(one) for one in _divisions(Mesh((("dp", 64),)), 16, 8)]
        ['dp=64', 'dp=64,ep=8', 'dp=64,ep=16']
    """
    ranks, tp = mesh.size("dp") * mesh.size("tp"), mesh.size("tp")
    counts = [n for n in range(2, experts + 1) if experts % n == 0 and ranks % n == 0 and n % tp == 0]
    within = [n for n in counts if n <= domain]
    return [Division(mesh, count) for count in sorted({1, *within[-1:], *counts[-1:]})]


def _candidate(division: Division, search: Search, stack: Stack, *, checkpoint: bool) -> Candidate:
    """Return a candidate.

    Raises:
        InputError: The batch has too few sequences, or the heads, features or blocks do not divide.
    """
    mesh, ep = division.mesh, division.expert_parallel
    dp, pp, tp = (mesh.size(axis) for axis in ("dp", "pp", "tp"))
    exact = search.batch_tokens / search.microbatch_tokens / dp
    microbatches = round(exact)
    if exact < 1 / 2:
        msg = f"the batch has fewer sequences than dp={dp}"
        raise InputError(msg)
    microbatches = max(1, microbatches)
    if pp > 1:
        ParallelPlan(mesh, "fsdp", None, "1f1b", microbatches)
    is_even = divides_evenly(search.step, division, lcm(dp, *SHARDS))
    # how FSDP2 shards divided experts depends on how many ranks have the same ones
    shards = None if is_even and ep == 1 else dp
    family = Family("whole", tp, checkpoint, stack.others, shards, ep)
    parts = tuple((replace(family, part=part), blocks) for part, blocks in _parts(stack, pp))
    return Candidate(division, checkpoint, microbatches, parts)


def _parts(stack: Stack, pp: int) -> Sequence[tuple[Part, int]]:
    """Return the parts of a model that are traced, each with the blocks in it.

    Middle stages are left out where they have as many blocks as the first one, which holds the embedding and the
    activations of one microbatch more.
    """
    if pp == 1:
        return [("whole", len(stack.paths))]
    sizes = [len(block_range(stack.units, index, pp)) for index in range(pp)]
    parts: list[tuple[Part, int]] = [("first", sizes[0]), ("last", sizes[-1])]
    return [*parts, ("middle", sizes[1])] if pp > 2 and sizes[1] > sizes[0] else parts  # noqa: PLR2004 - two ends
