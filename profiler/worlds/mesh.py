"""The mesh of a world: its axes, and the coordinates of a rank."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from profiler.errors import InputError
from profiler.escaping import quoted

#: The axes in the order in which ranks are numbered, the slowest first: tensor parallelism is among neighbours.
AXES = ("pp", "replicate", "dp", "tp")
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

    def ranks_at(self, axis: str, coordinates: frozenset[int]) -> tuple[int, ...]:
        """Return the ranks whose position along an axis is one of *coordinates*."""
        return tuple(rank for rank in range(self.world) if self.coordinate(rank, axis) in coordinates)

    def __str__(self) -> str:
        """Return the axes as they are written on the command line."""
        return ",".join(f"{name}={size}" for name, size in self.sizes)


def parse_mesh(text: str, world: int | None = None) -> Mesh:
    """Parse ``dp=8,tp=8``.

    Args:
        text: The axes with their sizes.
        world: The number of ranks; None for the product of the sizes.

    Raises:
        InputError: An axis is unknown, occurs twice or has no size, or the sizes do not multiply to *world*.

    Example:
        >>> str(parse_mesh("tp=2,dp=4", 8))
        'dp=4,tp=2'
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
    mesh = Mesh(tuple((axis, sizes[axis]) for axis in AXES if axis in sizes))
    _check_world(mesh, world)
    return mesh


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
