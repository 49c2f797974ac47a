"""The distinct roles in a world: ranks that do the same work on the same shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import InputError

if TYPE_CHECKING:
    from profiler.worlds.plan import ParallelPlan


@dataclass(frozen=True, slots=True)
class Role:
    """Ranks that do the same work, and the one of them that is traced."""

    name: str
    #: The rank that is traced: the first, which holds the most microbatches and the largest shards.
    rank: int
    ranks: tuple[int, ...]


def distinct_roles(plan: ParallelPlan) -> tuple[Role, ...]:
    """Return the roles of a plan.

    Without a pipeline every rank does the same. With one, the first stage has the embedding, the last has the head, and
    those between differ only in how many microbatches they hold at a time: in 1F1B stage *s* of *P* holds at most
    P − s, so that the first of them, which is traced, holds the most. In GPipe they hold all.

    Example:
        >>> from profiler.worlds.mesh import parse_mesh
        >>> from profiler.worlds.plan import ParallelPlan
        >>> [(r.name, r.rank, r.ranks) for r in distinct_roles(ParallelPlan(parse_mesh("pp=4"), microbatches=4))]
        [('first', 0, (0,)), ('middle', 1, (1, 2)), ('last', 3, (3,))]
    """
    mesh = plan.mesh
    last = mesh.size("pp") - 1
    if not last:
        return (Role("every rank", 0, tuple(range(mesh.world))),)
    stages = {"first": {0}, "middle": set(range(1, last)), "last": {last}}
    ranks = {name: mesh.ranks_at("pp", frozenset(at)) for name, at in stages.items() if at}
    return tuple(Role(name, members[0], members) for name, members in ranks.items())


def check_rank(rank: int, plan: ParallelPlan) -> None:
    """Raise an ``InputError`` if the world has no such rank."""
    if not 0 <= rank < plan.mesh.world:
        msg = f"no rank {rank} in a world of {plan.mesh.world}; write a number from 0 to {plan.mesh.world - 1}"
        raise InputError(msg)
