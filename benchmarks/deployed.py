"""Fit the time table of the mode "deployed" to MLPerf's results of ResNet-50 in int8, and print how they compare.

    python benchmarks/deployed.py
    python benchmarks/deployed.py --output profiler/projection/time_tables/gpu-deployed-inference.json

The measurements are in ``docs/measured/mlperf-resnet50-int8.csv``: single stream is one image, and offline is taken as
a batch of 256. They are of one model alone, so the fit starts at the table "compiled" and changes little else than its
common factor. Each device is kept back in turn.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

import cyclopts

from profiler.devices import find_device
from profiler.projection.fit import Sample, errors, fit, range_of, ratios
from profiler.projection.model_bytes import compulsory_bytes
from profiler.projection.precision import parse_precision
from profiler.projection.roofline import roofline_bound
from profiler.projection.time_table import TimeTable, Validation, ideal_times
from profiler.projection.time_table_files import format_time_table, packaged_tables
from profiler.projection.work import operator_work
from profiler.run.count_target import count_target

MEASURED = Path(__file__).parents[1] / "docs" / "measured" / "mlperf-resnet50-int8.csv"
#: Standard deviation of the logarithm of a class's own factor: one model tells little of single classes.
_OWN = 0.1
_KERNEL_US = 5.0


def main(output: Path | None = None) -> None:
    """Print each result with its estimate, by a table that did not see its device.

    Args:
        output: File to write the table to.
    """
    with MEASURED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    samples = [_sample(row) for row in rows]
    start = replace(packaged_tables()["GPU", "compiled", "inference"], mode="deployed", kernel_us=_KERNEL_US)
    start = replace(start, launch_us=0.0, factors={})
    decoding = {"matvec": start.memory["matvec"]}  # as it is: ResNet-50 has no such products
    estimates = [
        _without(row["device"], rows, samples, start).pass_seconds(s.ideals)
        for row, s in zip(rows, samples, strict=True)
    ]
    for row, sample, estimate in zip(rows, samples, estimates, strict=True):
        print(
            f"{row['device']:24} {row['scenario']:14} measured {row['ms']:>8} ms  estimate {1e3 * estimate:8.3f} ms  "
            f"bound {1e3 * sample.bound_s:.3f} ms"
        )
    held, low_high = errors(samples, estimates), range_of(ratios(samples, estimates))
    print(f"{len(samples)} passes, mean error {fmean(held):.1%}, median {median(held):.1%}, range {low_high}")
    if output is not None:
        table = fit(samples, start, own=_OWN)
        table = replace(table, memory=table.memory | decoding, validation=_validation(samples, held, low_high))
        output.write_text(format_time_table(table), encoding="utf-8")
        print(f"written to {output}", file=sys.stderr)


def _sample(row: dict[str, str]) -> Sample:
    profile = count_target(row["target"], batch=int(row["batch"]))
    device, scheme = find_device(row["device"]), parse_precision(row["precision"])
    kernels = operator_work(profile, scheme, "deployed")
    bound = roofline_bound(kernels, compulsory_bytes(profile, scheme), device)
    return Sample(ideal_times(kernels, device), float(row["ms"]) / 1e3, row["device"], bound.seconds)


def _without(device: str, rows: list[dict[str, str]], samples: list[Sample], start: TimeTable) -> TimeTable:
    """Fit to the results of all other devices."""
    return fit([sample for row, sample in zip(rows, samples, strict=True) if row["device"] != device], start, own=_OWN)


def _validation(samples: list[Sample], held: list[float], low_high: tuple[float, float]) -> Validation:
    return Validation(
        source="MLPerf Inference v0.7, v1.1 and v4.1, ResNet-50 in int8: one model on 12 devices",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ranges={},
        range_elsewhere=low_high,
        precisions=("int8",),
        passes=len(samples),
        mean_error=round(fmean(held), 4),
        median_error=round(median(held), 4),
        fastest_ms=min(1e3 * sample.seconds for sample in samples),
        slowest_ms=max(1e3 * sample.seconds for sample in samples),
    )


if __name__ == "__main__":
    cyclopts.run(main)
