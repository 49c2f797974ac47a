"""Hold the estimates of time against timm's public tables of measured times.

    python benchmarks/estimates.py FOLDER
    python benchmarks/estimates.py FOLDER docs/measured --models 300 --fit profiler/projection/time_tables

FOLDER has CSV files as timm publishes them (``results/`` of its repository), whose names say what was measured:
``benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv`` (``amp``: autocast to float16 over float32 weights; ``nhwc``:
channels_last; ``dynamo`` at the end: compiled), or of ``benchmarks/measured_times.py``. Each model is counted on
``meta`` at the batch and the image size of its row.

One model in five, chosen by its name, is kept back: no table of the package was fitted to it, on any device. The first
rows of the result are of these models and the tables of the package. The next are of a device that was not seen: the
table of another device in the same mode, as it is, and after a fit to five models. ``--fit`` writes the tables of the
package from the other four models in five, and then holds these against the models kept back.
"""

from __future__ import annotations

import csv
import random
import re
import signal
import sys
import warnings
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import fmean, median

import cyclopts
import timm
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table as RichTable
from scipy.stats import spearmanr

from profiler.devices import Device, all_devices, find_device
from profiler.errors import AmbiguousNameError, UnknownNameError
from profiler.projection.fit import Sample, errors, fit, held_out_estimates, range_of, ratios
from profiler.projection.mode import Mode, Step
from profiler.projection.time_table import DeviceKind, TimeTable, Validation
from profiler.projection.time_table_files import device_kind, format_time_table, packaged_tables, time_table
from profiler.run.measured_passes import MeasuredPass

_NAME = re.compile(r"benchmark-(infer|train)-(\w+)-(nchw|nhwc)-pt\d+-(?:cu\d+-)?(?:cpu-)?(.+?)(-dynamo)?$")
_PRECISIONS = {"amp": "amp", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "float16": "float16"}
#: One model in so many is kept back.
_KEPT_BACK = 5
#: Standard deviation of the logarithm of a class's own factor: in a fit to hundreds of models, and to five.
_OWN, _FEW, _FIVE = 0.7, 0.15, 5
#: Where a fit begins: plausible shares, and the least time of a kernel.
_KERNEL_US = {"GPU": 3.0, "CPU": 20.0, "NPU": 5.0}
_START = TimeTable(
    "GPU",
    "eager",
    "inference",
    kernel_us=3.0,
    launch_us=0.0,
    compute={"matmul": 0.6, "conv_grouped": 0.3, "depthwise_3x3": 0.3},
    memory={"pointwise": 0.8, "matmul": 0.8},
)
#: Share of the bandwidth of products with few vectors, which tables of images do not have. Source: decoding at batch
#: size 1, Llama-3-8B on an RTX A6000 (torchao, documentation of quantized inference: 0.632) and a 13 B model on an A100
#: (16.5 ms of memory time in 22.0 ms; llm-analysis: 0.750): their mean.
_DECODING = {"matvec": 0.69}
_COLUMNS = (
    "measured", "table", "models", "median", "mean", "≤ 10%", "≤ 25%", "≤ 50%", "rank corr.", "in range", "bound max",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A table of measured times: of one device in one mode."""

    name: str
    device: Device
    mode: Mode
    step: Step
    rows: tuple[MeasuredPass, ...]


def main(*folders: Path, models: int = 60, fit: Path | None = None, jobs: int = -1, seconds: int = 60) -> None:
    """Print how far the estimates are from the measured times.

    Args:
        folders: Folders of CSV files.
        models: Models of each file.
        fit: Fit the tables of the package first, and write them to this folder.
        jobs: Processes that count models; -1 is one for each core.
        seconds: A model that takes longer to count is left out.
    """
    warnings.filterwarnings("ignore")
    paths = [path for folder in folders for path in sorted(folder.glob("*.csv"))]
    tables = [table for path in paths for table in read_tables(path)]
    if not tables:
        sys.exit("there is no CSV file; name a folder that has some")
    if fit is not None:
        seen = {table.name: _samples(table, models, jobs, seconds, kept_back=False) for table in tables}
        write_tables(tables, seen, fit)
    unseen = {table.name: _samples(table, models, jobs, seconds, kept_back=True) for table in tables}
    Console(width=140).print(result_table(tables, unseen))


def read_tables(path: Path) -> list[Table]:
    """Read one of timm's tables, or those in a file of ``benchmarks/measured_times.py``."""
    match = _NAME.match(path.stem)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if match is None:
        return _own_tables(path.stem, rows)
    kind, precision, _, device, dynamo = match.groups()
    known = set(timm.list_models())
    passes = [
        MeasuredPass(
            target=f"timm:{row['model']}",
            input=f"3x{row[f'{kind}_img_size']}x{row[f'{kind}_img_size']}",
            batch=int(row[f"{kind}_batch_size"]),
            precision=_PRECISIONS[precision],
            seconds=float(row[f"{kind}_step_time"]) / 1e3,
            step="training" if kind == "train" else "inference",
        )
        for row in rows
        if row["model"].split(".")[0] in known and float(row[f"{kind}_step_time"] or 0)
    ]
    random.Random(7).shuffle(passes)  # noqa: S311 - the same models in every run
    mode: Mode = "compiled" if dynamo else "eager"
    return [Table(path.stem, _device(device), mode, passes[0].step, tuple(passes))] if passes else []


def _own_tables(name: str, rows: list[dict[str, str]]) -> list[Table]:
    """Return a table for each mode and step of a file of our own."""
    modes: tuple[Mode, ...] = ("eager", "compiled")
    steps: tuple[Step, ...] = ("inference", "training")
    tables = []
    for mode, step in product(modes, steps):
        passes = tuple(
            MeasuredPass(r["target"], r["input"], int(r["batch"]), r["precision"], float(r["ms"]) / 1e3, step)
            for r in rows
            if (r["mode"], r.get("step")) == (mode, step)
        )
        if passes:
            tables.append(Table(f"{name}-{mode}-{step}", _device(rows[0]["device"]), mode, step, passes))
    return tables


def _device(name: str) -> Device:
    """Return the device that a file's name means; of several parts of that name the first."""
    try:
        return find_device(name)
    except (AmbiguousNameError, UnknownNameError):
        matches = [device for device in all_devices().values() if _letters(name) in _letters(device.id)]
    if not matches:
        sys.exit(f"the catalogue has no device {name!r}; add it to profiler/devices")
    return matches[0]


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def is_kept_back(target: str) -> bool:
    """Return whether no table of the package is fitted to a model: its name decides."""
    name = target.removeprefix("timm:").split(".")[0]
    return zlib.crc32(name.encode()) % _KEPT_BACK == 0


def _samples(table: Table, models: int, jobs: int, seconds: int, *, kept_back: bool) -> list[Sample]:
    """Count the first *models* of a table that are kept back, or those that are not."""
    rows = [row for row in table.rows if is_kept_back(row.target) == kept_back][:models]
    samples = Parallel(n_jobs=jobs)(delayed(_sample)(row, table, seconds) for row in rows)
    return [sample for sample in samples if sample is not None]


def _sample(row: MeasuredPass, table: Table, seconds: int) -> Sample | None:
    """Count a pass; None if the model raises or takes too long."""
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(seconds)
    try:
        return row.sample(table.device, table.mode)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever the model raises
        print(f"{row.target}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
        return None
    finally:
        signal.alarm(0)


def write_tables(tables: list[Table], seen: dict[str, list[Sample]], folder: Path) -> None:
    """Fit the tables of the package, and write them."""
    groups: dict[tuple[DeviceKind, Mode, Step], dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    precisions: dict[tuple[DeviceKind, Mode, Step], set[str]] = defaultdict(set)
    for table in tables:
        key = device_kind(table.device), table.mode, table.step
        groups[key][table.device.id] += seen[table.name]
        precisions[key] |= {"fp32" if row.precision == "float32" else "fp16" for row in table.rows}
    fitted = {key: fit_group(key, group, sorted(precisions[key])) for key, group in groups.items()}
    elsewhere = [t.validation.range_elsewhere for t in fitted.values() if t.validation and t.factors]
    for key, one in fitted.items():
        text = format_time_table(_with_widest(one, elsewhere))
        (folder / f"{'-'.join(key).lower()}.json").write_text(text, encoding="utf-8")


def _with_widest(table: TimeTable, elsewhere: list[tuple[float, float]]) -> TimeTable:
    """Return a table of one device, which tells nothing of others, with the widest range that other tables found."""
    if table.validation is None or table.factors or not elsewhere:
        return table
    widest = min(low for low, _ in elsewhere), max(high for _, high in elsewhere)
    return replace(table, validation=replace(table.validation, range_elsewhere=widest))


def fit_group(key: tuple[DeviceKind, Mode, Step], group: dict[str, list[Sample]], precisions: list[str]) -> TimeTable:
    """Fit a table to the device with most models; the others get a factor each, and give the range elsewhere."""
    kind, mode, step = key
    main = max(group, key=lambda device: len(group[device]))
    start = replace(_START, kind=kind, mode=mode, step=step, kernel_us=_KERNEL_US[kind])
    estimates = held_out_estimates(group[main], start, own=_OWN)
    held = errors(group[main], estimates)
    launch_us = _launch_us([sample for samples in group.values() for sample in samples]) if kind == "GPU" else 0.0
    table = replace(fit(group[main], start, own=_OWN), launch_us=launch_us)
    if kind == "GPU":
        table = replace(table, memory=table.memory | _DECODING)
    ranges, apart, factors = {main: range_of(ratios(group[main], estimates))}, list[float](), dict[str, float]()
    for device, samples in group.items():
        if device != main:
            plain = ratios(samples, [table.pass_seconds(sample.ideals) for sample in samples])
            found = find_device(device)
            factors |= dict.fromkeys((device, found.kind), round(median(plain), 3))
            table = replace(table, factors=factors)
            ranges[device] = range_of(ratios(samples, [table.pass_seconds(s.ideals, found) for s in samples]))
            apart += plain
    everywhere = [*ranges.values(), *([range_of(apart)] if apart else [])]
    times_ms = [1e3 * sample.seconds for samples in group.values() for sample in samples]
    validation = Validation(
        source="timm's benchmark tables of 2024 and docs/measured",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ranges=ranges,
        range_elsewhere=(min(low for low, _ in everywhere), max(high for _, high in everywhere)),
        precisions=tuple(precisions),
        passes=sum(map(len, group.values())),
        mean_error=round(fmean(held), 4),
        median_error=round(median(held), 4),
        fastest_ms=round(min(times_ms), 3),
        slowest_ms=round(max(times_ms), 3),
    )
    return replace(_rounded(table), validation=validation)


def _launch_us(samples: list[Sample]) -> float:
    """Return the time in which the host launches a kernel: that of passes at batch 1, which wait for it."""
    times = [1e6 * sample.seconds / sample.kernels for sample in samples if sample.name.endswith("batch 1")]
    return round(median(times), 2) if times else 0.0


def _rounded(table: TimeTable) -> TimeTable:
    compute, memory = ({k: round(v, 4) for k, v in shares.items()} for shares in (table.compute, table.memory))
    return replace(table, compute=compute, memory=memory, kernel_us=round(table.kernel_us, 3))


def result_table(tables: list[Table], unseen: dict[str, list[Sample]]) -> RichTable:
    """Return the table of errors, of models that no table was fitted to."""
    shown = RichTable(title="models not used in any fit")
    for column in _COLUMNS:
        shown.add_column(column, justify="left" if column in _COLUMNS[:2] else "right")
    for table in tables:
        samples = unseen[table.name]
        if samples:
            own = time_table(table.device, table.mode, table.step)
            shown.add_row(table.name.removeprefix("benchmark-"), "the package's", *_scores(samples, own, table.device))
        for other in packaged_tables().values():
            if len(samples) > _FIVE and _is_of_another_device(other, table):
                plain = replace(other, factors={})
                shown.add_row("", "as of another device", *_scores(samples, plain, table.device))
                few = fit(samples[:_FIVE], plain, own=_FEW)
                shown.add_row("", "and five models", *_scores(samples[_FIVE:], few, table.device))
    return shown


def _is_of_another_device(fitted: TimeTable, table: Table) -> bool:
    """Return whether a table of the package is of the same kind and mode, and was fitted to another device."""
    if (fitted.kind, fitted.mode, fitted.step) != (device_kind(table.device), table.mode, table.step):
        return False
    return fitted.validation is not None and next(iter(fitted.validation.ranges), "") != table.device.id


def _scores(samples: list[Sample], table: TimeTable, device: Device) -> list[str]:
    estimates = [table.pass_seconds(sample.ideals, device) for sample in samples]
    held = errors(samples, estimates)
    low, high = table.validation.ranges.get(device.id, table.validation.range_elsewhere) if table.validation else (0, 0)
    inside = fmean(low <= ratio <= high for ratio in ratios(samples, estimates))
    correlation = spearmanr(estimates, [sample.seconds for sample in samples]).statistic
    bound = max(sample.bound_s / sample.seconds for sample in samples)
    within = [f"{fmean(error <= limit for error in held):.0%}" for limit in (0.1, 0.25, 0.5)]
    figures = [
        f"{median(held):.1%}",
        f"{fmean(held):.1%}",
        *within,
        f"{correlation:.3f}",
        f"{inside:.0%}",
        f"{bound:.2f}",
    ]
    return [str(len(samples)), *figures]


if __name__ == "__main__":
    cyclopts.run(main)
