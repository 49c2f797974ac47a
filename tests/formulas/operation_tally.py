"""The counter that counting numbers share: FLOPs and transcendentals."""

from __future__ import annotations


class OperationTally:
    """The operations that were computed so far."""

    def __init__(self) -> None:
        self.flops = 0
        self.transcendentals = 0

    @property
    def counts(self) -> tuple[int, int]:
        """FLOPs and transcendentals."""
        return self.flops, self.transcendentals
