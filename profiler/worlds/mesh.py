"""The mesh of a world: its axes, and the coordinates of a rank."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from profiler.errors import InputError
from profiler.escaping import quoted

#: The axes in the order in which ranks are numbered, the slowest first: tensor parallelism is among neighbours.
AXES = ("pp", "replicate", "dp", "cp", "tp")
#: The axes whose ranks divide experts.
_EXPERT_AXES = frozenset({"dp", "cp", "tp"})
_EXAMPLE = "write for example --mesh dp=8,tp=8,pp=16"
#: The most ranks of a world: torch makes a process group for each row of the mesh.
_MAX_RANKS = 2**17


@dataclass(frozen=True, slots=True)
class Mesh:
    """The sizes of the axes, in the order of `AXES`."""

    sizes: tuple[tuple[str, int], ...]

    @property
    def world(self) -> int:
        """The number of ranks."""
        return prod(size for _, size in self.sizes)

    def size(self, axis: str) -> int:
        """Return the size of an axis; 1 if the mesh does not have it."""
        return dict(self.sizes).get(axis, 1)

    def coordinate(self, rank: int, axis: str) -> int:
        """Return the position of a rank along an axis.

        Example:
            >>> Mesh((("pp", 2), ("tp", 4))).coordinate(5, "pp"), Mesh((("pp", 2), ("tp", 4))).coordinate(5, "tp")
            (1, 1)
        """
        for name, size in reversed(self.sizes):
            if name == axis:
                return rank % size
            rank //= size
        return 0

    def groups(self, axis: str) -> list[list[int]]:
        """Return the ranks that differ in their position along an axis alone, one list for each place on the others.

        Example:
            >>> Mesh((("dp", 2), ("tp", 2))).groups("dp"), Mesh((("dp", 2), ("tp", 2))).groups("tp")
            ([[0, 2], [1, 3]], [[0, 1], [2, 3]])
        """
        rows: dict[tuple[int, ...], list[int]] = {}
        others = [name for name, _ in self.sizes if name != axis]
        for rank in range(self.world):
            rows.setdefault(tuple(self.coordinate(rank, name) for name in others), []).append(rank)
        return list(rows.values())

    def group(self, rank: int, axis: str) -> tuple[int, ...]:
        """Return the ranks of the group of a rank along an axis: those that differ from it in that axis alone.

        Example:
            >>> Mesh((("dp", 2), ("tp", 4))).group(5, "dp"), Mesh((("dp", 2), ("tp", 4))).group(5, "tp")
            ((1, 5), (4, 5, 6, 7))
        """
        names = [name for name, _ in self.sizes]
        step = prod(size for _, size in self.sizes[names.index(axis) + 1 :])
        first = rank - self.coordinate(rank, axis) * step
        return tuple(first + i * step for i in range(self.size(axis)))

    def ranks_at(self, axis: str, coordinates: frozenset[int]) -> tuple[int, ...]:
        """Return the ranks whose position along an axis is one of *coordinates*."""
        return tuple(rank for rank in range(self.world) if self.coordinate(rank, axis) in coordinates)

    def __str__(self) -> str:
        """Return the axes as they are written on the command line."""
        return ",".join(f"{name}={size}" for name, size in self.sizes)


def expert_mesh(mesh: Mesh, expert_parallel: int) -> Mesh:
    """Return the mesh of the parameters of experts: the axes dp, cp and tp are divided into edp and ep.

    Example:
        >>> str(expert_mesh(Mesh((("pp", 2), ("dp", 8), ("tp", 2))), 4))
        'pp=2,edp=4,ep=4'
    """
    outer = tuple((axis, size) for axis, size in mesh.sizes if axis not in _EXPERT_AXES)
    ranks = prod(size for axis, size in mesh.sizes if axis in _EXPERT_AXES)
    return Mesh((*outer, ("edp", ranks // expert_parallel), ("ep", expert_parallel)))


def parse_mesh(text: str, world: int | None = None, context_parallel: int = 1) -> Mesh:
    """Parse ``dp=8,tp=8``.

    Args:
        text: The axes with their sizes.
        world: The number of ranks; None for the product of the sizes.
        context_parallel: The ranks that share each sequence, if not 1: the size of the axis cp. They are ranks of the
            axis dp, unless *world* has room for them beside it.

    Raises:
        InputError: An axis is unknown, occurs twice or has no size, the sizes do not multiply to *world*, or the axis
            dp does not divide into groups of *context_parallel*.

    Example:
        >>> str(parse_mesh("tp=2,dp=4", 8)), str(parse_mesh("dp=8", 8, 4)), str(parse_mesh("dp=8", 32, 4))
        ('dp=4,tp=2', 'dp=2,cp=4', 'dp=8,cp=4')
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, number = (word.strip() for word in part.partition("="))
        if axis not in AXES:
            msg = f"the mesh has no axis {quoted(axis)}; the axes are {', '.join(AXES)}: {_EXAMPLE}"
            raise InputError(msg)
        if axis in sizes:
            msg = f"the mesh has the axis {axis} twice; {_EXAMPLE}"
            raise InputError(msg)
        sizes[axis] = _size(axis, number)
    if context_parallel != 1:
        _add_context(sizes, world, context_parallel)
    mesh = Mesh(tuple((axis, sizes[axis]) for axis in AXES if axis in sizes))
    _check_world(mesh, world)
    return mesh


def _add_context(sizes: dict[str, int], world: int | None, count: int) -> None:
    """Add the axis cp to *sizes*: beside the axis dp if the *world* has so many ranks, or else of its ranks."""
    if count < 1:
        msg = f"--context-parallel is {count}; write how many ranks share each sequence, 1 or more"
        raise InputError(msg)
    if "cp" in sizes:
        msg = f"--context-parallel {count} and the axis cp={sizes['cp']} of the mesh mean the same; give one of them"
        raise InputError(msg)
    if prod(sizes.values()) * count != world:
        dp = sizes.get("dp", 1)
        if dp % count:
            msg = f"--context-parallel {count} takes its ranks from the axis dp={dp}, which does not divide by {count}"
            raise InputError(msg)
        sizes["dp"] = dp // count
    sizes["cp"] = count


def _size(axis: str, number: str) -> int:
    if not (number.isascii() and number.isdigit()) or not 1 <= int(number) <= _MAX_RANKS:
        msg = f"the size of the axis {axis} is {quoted(number)}; write an integer from 1 to {_MAX_RANKS}"
        raise InputError(msg)
    return int(number)


def _check_world(mesh: Mesh, world: int | None) -> None:
    if world is not None and mesh.world != world:
        msg = f"the mesh {mesh} has {mesh.world} ranks, and the world {world}; make the sizes multiply to {world}"
        raise InputError(msg)
    if mesh.world > _MAX_RANKS:
        msg = f"the mesh {mesh} has {mesh.world} ranks; at most {_MAX_RANKS} are supported"
        raise InputError(msg)
