"""The result of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.projection.fit import Sample
    from profiler.projection.time_table import TimeTable


@dataclass(frozen=True, slots=True)
class Calibration:
    """A table fitted to measurements, and how well it estimates those that were kept back."""

    table: TimeTable
    samples: tuple[Sample, ...]
    #: The errors of the package's own table, and of tables fitted without the third that holds the measurement.
    errors_before: tuple[float, ...]
    errors_after: tuple[float, ...]
    #: Classes of operators of which the measurements hold next to nothing: their shares are those of the package.
    unmeasured: tuple[str, ...]
    #: One line for each row that was not used or looks wrong.
    warnings: tuple[str, ...]
