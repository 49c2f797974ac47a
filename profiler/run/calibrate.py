"""``profiler calibrate``: fit a time table to a user's own measurements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean, median
from typing import TYPE_CHECKING

from profiler.errors import InputError, ProfilerError, one_line
from profiler.projection.calibration import Calibration
from profiler.projection.fit import LEAST, Sample, errors, fit, held_out_estimates, range_of, ratios
from profiler.projection.time_table import TimeTable
from profiler.projection.time_table_files import time_table
from profiler.projection.validation import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profiler.devices import Device
    from profiler.projection.mode import Mode, Step
    from profiler.run.measured_passes import MeasuredPass

#: Parts of the measurements, each of which is kept back once.
_FOLDS = 3


def calibrate(
    passes: Sequence[MeasuredPass],
    device: Device,
    mode: Mode,
    step: Step,
    *,
    source: str = "calibrated",
    progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Fit the time table of a device in a mode to measured passes.

    Args:
        passes: The measurements. Those whose model raises are left out, with a warning.
        device: The device on which they were measured.
        mode: The mode in which the models ran.
        step: Whether they are of inference or of training.
        source: Where the measurements come from, as the table states it.
        progress: Called with the name of each pass before it is counted.

    Raises:
        InputError: Fewer than four measurements could be used.
    """
    samples: list[Sample] = []
    warnings: list[str] = []
    for measured in passes:
        progress(f"{measured.target}, batch {measured.batch}")
        try:
            samples.append(measured.sample(device, mode))
        except ProfilerError as error:
            warnings.append(f"{measured.target} is left out: {one_line(error)}")
    warnings += [_beaten(sample) for sample in samples if sample.seconds < sample.bound_s]
    if len(samples) < LEAST:
        msg = f"{len(samples)} measurements could be used, which are too few to fit to; measure at least {LEAST}"
        raise InputError("; ".join([msg, *warnings[:1]]))
    start = time_table(device, mode, step).of_device(device, passes[0].compute_precision)
    before = [start.pass_seconds(sample.ideals) for sample in samples]
    after = held_out_estimates(samples, start, _FOLDS)
    unmeasured = _unmeasured(samples, start)
    published = start.validation.unmeasured if start.validation else {}
    validation = replace(
        _validation(samples, after, device, passes, source),
        unmeasured={class_: known for class_, known in published.items() if class_ in unmeasured},
    )
    table = replace(fit(samples, start), stands_in="", validation=validation)
    return Calibration(
        table,
        tuple(samples),
        tuple(errors(samples, before)),
        tuple(errors(samples, after)),
        unmeasured,
        tuple(warnings),
    )


def _beaten(sample: Sample) -> str:
    factor = float(f"{sample.bound_s / sample.seconds:.3g}")
    return f"{sample.name}: the measured time is {factor:,g} times below the bound; is it in ms, and of this device?"


def _validation(
    samples: Sequence[Sample], estimates: Sequence[float], device: Device, passes: Sequence[MeasuredPass], source: str
) -> Validation:
    held, held_out = errors(samples, estimates), range_of(ratios(samples, estimates))
    return Validation(
        source=source,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ranges={device.id: held_out},
        range_elsewhere=held_out,
        precisions=tuple(dict.fromkeys(measured.compute_precision for measured in passes)),
        passes=len(samples),
        mean_error=round(fmean(held), 4),
        median_error=round(median(held), 4),
        fastest_ms=1e3 * min(sample.seconds for sample in samples),
        slowest_ms=1e3 * max(sample.seconds for sample in samples),
    )


def _unmeasured(samples: Sequence[Sample], start: TimeTable) -> tuple[str, ...]:
    """Return the classes of the table of which no sample has work."""
    measured = {class_ for sample in samples for class_ in sample.ideals}
    return tuple(class_ for class_ in sorted({*start.compute, *start.memory}) if class_ not in measured)
