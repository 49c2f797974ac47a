"""What a time table was held against: its measurements, their errors, and the ranges in which they fell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import ConfigDict, Field

Factor = Annotated[float, Field(gt=0, le=1e3)]


@dataclass(frozen=True, slots=True)
class Validation:
    """The measurements that a table was fitted to, and held against."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    #: Where the measurements were published, and when the table was fitted.
    source: str
    date: str
    #: By id of the device: range of measured ÷ estimate that held 90 % of the models that the fit did not see.
    ranges: dict[str, tuple[Factor, Factor]]
    #: The same for a device of which no model was seen.
    range_elsewhere: tuple[Factor, Factor]
    #: The precisions of most of the MACs.
    precisions: tuple[str, ...]
    passes: int
    #: Mean and median of |estimate ÷ measured − 1| over models that the fit did not see.
    mean_error: float
    median_error: float
    #: The fastest and the slowest pass.
    fastest_ms: float
    slowest_ms: float
    #: Range of measured ÷ estimate of passes that wait for the host: hosts differ, and not the device.
    launch_range: tuple[Factor, Factor] = (1.0, 1.0)
    #: By class of operator that no measured pass has, and whose share is that of published kernels: the range of these,
    #: as measured ÷ estimate.
    unmeasured: dict[str, tuple[Factor, Factor]] = field(default_factory=dict)

    @property
    def main(self) -> str | None:
        """Id of the device to whose passes the table was fitted: the first that has a range."""
        return next(iter(self.ranges), None)
