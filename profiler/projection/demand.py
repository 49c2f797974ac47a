"""What is asked of a device: a rate of passes, and how much of its peak to plan with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import PlanError
from profiler.projection.amounts import require_amount

if TYPE_CHECKING:
    from profiler.projection.device_pass import DevicePass

_LOWEST_UTILISATION = 1e-6


@dataclass(frozen=True, slots=True)
class Demand:
    """The required rate of passes, and the fraction of the peak that a plan may use; None for that of the estimate.

    Raises:
        PlanError: The rate is not positive, or the utilisation is not within (0, 1].
    """

    fps: float | None = None
    utilisation: float | None = None

    def __post_init__(self) -> None:
        """Validate both numbers."""
        if self.fps is not None:
            require_amount(self.fps, "a rate of {} passes per second")
        if self.utilisation is not None and not _LOWEST_UTILISATION <= self.utilisation <= 1:
            least = _LOWEST_UTILISATION
            msg = f"cannot plan with a utilisation of {self.utilisation:g}; write a number from {least:g} to 1"
            raise PlanError(msg)

    def utilisation_of(self, device_pass: DevicePass) -> float:
        """Return the fraction of the peak to plan with."""
        return device_pass.utilisation if self.utilisation is None else self.utilisation
