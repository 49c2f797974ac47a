"""``find_layouts()``: the meshes into which a world divides, by how fast they train a model, and what does not fit.

Few small worlds are traced, and their figures extended to the meshes: see `role_families`. What is extended is verified
at further points; the times are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import lcm
from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.devices.server import server_of
from profiler.errors import InputError, ProfilerError
from profiler.projection.device_memory import usable_bytes
from profiler.worlds.division import Division
from profiler.worlds.layout_figures import Layout, evaluate
from profiler.worlds.mesh import AXES, Mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.role_families import SHARDS, Family, Part, trace_families, traced_points
from profiler.worlds.saved_activations import saved_bytes
from profiler.worlds.shortened import divides_evenly, experts_of, stack_of
from profiler.worlds.stages import block_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.projection.mode import Mode
    from profiler.worlds.extension import Verified
    from profiler.worlds.shortened import Stack
    from profiler.worlds.step import Step

_MOST_RANKS = 2**17


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


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts that fit, fastest first, and those that do not."""

    ranked: tuple[Layout, ...]
    dropped: tuple[Dropped, ...]
    device: str
    #: Blocks of the whole model.
    blocks: int
    #: Small worlds that were traced, of so many families, each verified at two further points.
    traced: int
    families: int
    usable_bytes: int | None


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


def find_layouts(search: Search) -> Layouts:
    """Return the meshes of a world, by estimated tokens per second.

    The axes are pp (1F1B), dp (FSDP2) and tp (within a server); the experts of a mixture are whole on every rank, or
    divided over as many ranks as can be. A microbatch is one sequence.

    Args:
        search: What is searched for.

    Raises:
        InputError: The model has no single stack of equal blocks.
        UnknownNameError: There is no such device.
        DeviceError: The catalogue has no links of the device.
    """
    device = find_device(search.device)
    search = replace(search, device=device.id)
    stack, server = stack_of(search.step.target, search.step.dtype), server_of(device.id)
    candidates, dropped = _candidates(search, stack, server.domain)
    usable = usable_bytes(device)
    candidates, too_large = _without_hopeless(candidates, search, stack, usable)
    families = list(dict.fromkeys(family for one in candidates for family, _ in one.parts))
    extensions = trace_families(families, search.step, device.id, search.mode)
    layouts: list[Layout] = []
    for one in candidates:
        outcome = _outcome(one, extensions, search, usable)
        if isinstance(outcome, Layout):
            layouts.append(outcome)
        else:
            dropped.append(Dropped(one.division, one.checkpoint, outcome))
    return Layouts(
        tuple(sorted(layouts, key=lambda layout: (-layout.tokens_per_s, layout.memory_bytes))),
        (*dropped, *too_large),
        device.id,
        len(stack.paths),
        traced_points(families),
        len(families),
        usable,
    )


def _outcome(
    one: Candidate, extensions: dict[Family, Verified | str], search: Search, usable: int | None
) -> Layout | str:
    """Return the layout of a candidate, or why there is none."""
    parts = []
    for family, blocks in one.parts:
        extension = extensions[family]
        if isinstance(extension, str):
            return extension
        parts.append((family, extension, blocks))
    try:
        layout = evaluate(one.division, parts, one.microbatches, search.microbatch_tokens, search.device)
    except ProfilerError as error:
        return str(error)
    if usable is not None and layout.memory_bytes > usable:
        return f"needs {layout.memory_bytes / 2**30:.1f} GiB of {usable / 2**30:.1f} GiB"
    return layout


def _without_hopeless(
    candidates: list[Candidate], search: Search, stack: Stack, usable: int | None
) -> tuple[list[Candidate], list[Dropped]]:
    """Drop candidates without checkpointing whose saved activations alone do not fit, whatever the pipeline.

    A first stage of P holds those of P microbatches for a P-th of the blocks: as many as a whole model holds of one.
    """
    if usable is None:
        return candidates, []
    degrees = sorted({one.division.mesh.size("tp") for one in candidates if not one.checkpoint})
    saved = saved_bytes(search.step, degrees, search.device)
    left, dropped = [], []
    for one in candidates:
        size = 0 if one.checkpoint else len(stack.paths) * saved[one.division.mesh.size("tp")]
        if size > usable:
            reason = f"the saved activations alone need {size / 2**30:.1f} GiB of {usable / 2**30:.1f} GiB"
            dropped.append(Dropped(one.division, one.checkpoint, reason))
        else:
            left.append(one)
    return left, dropped


def _candidates(search: Search, stack: Stack, domain: int) -> tuple[list[Candidate], list[Dropped]]:
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
