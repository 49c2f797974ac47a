"""``Division``: the axes over which a layout divides a model, and how many ranks divide the experts of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.worlds.mesh import Mesh, expert_mesh


@dataclass(frozen=True, slots=True)
class Division:
    """A mesh, and how many of its ranks have the experts of a layer among them.

    Example:
        >>> str(Division(Mesh((("dp", 16),)))), str(Division(Mesh((("dp", 16),)), expert_parallel=8))
        ('dp=16', 'dp=16,ep=8')
    """

    mesh: Mesh
    expert_parallel: int = 1

    def group(self, rank: int, axis: str) -> tuple[int, ...]:
        """Return the ranks of the group of a rank along an axis; edp and ep are those of experts."""
        mesh = expert_mesh(self.mesh, self.expert_parallel) if axis in {"edp", "ep"} else self.mesh
        return mesh.group(rank, axis)

    def __str__(self) -> str:
        """Return the axes as the report has them."""
        return f"{self.mesh},ep={self.expert_parallel}" if self.expert_parallel > 1 else str(self.mesh)
