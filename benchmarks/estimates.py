"""Hold the estimates of time against timm's public tables of measured times.

    python benchmarks/estimates.py FOLDER
    python benchmarks/estimates.py FOLDER docs/measured --models 300 --fit profiler/projection/time_tables

FOLDER has CSV files as timm publishes them (``results/`` of its repository), whose names say what was measured:
``benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv`` (``amp``: autocast to float16 over float32 weights; ``nhwc``:
channels_last; ``dynamo`` at the end: compiled), or of ``benchmarks/measured_times.py``. Each model is counted on
``meta`` at the batch and the image size of its row, as it was measured: inference under autocast with timm's fast
norms, and attention in one kernel if PyTorch had it (``pt240`` is 2.4.0).

One model in five, chosen by its name, is kept back: no table of the package was fitted to it, on any device. The first
rows of the result are of these models and the tables of the package. The next are of a device that was not seen: the
table of another device in the same mode, as it is, and after a fit to five models. The last are of devices with few
passes, which tell by how much the device differs from others, and of nothing else: each by a table that knows of other
devices of its kind alone. ``--fit`` writes the tables of the package, and then holds these against what they did not
see.
"""

from __future__ import annotations

import csv
import math
import random
import re
import signal
import sys
import warnings
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import cyclopts
import timm
from device_factors import FEW, Key, of_other_chips
from fit_time_tables import Group, write_tables
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table as RichTable
from scipy.stats import spearmanr
from timm_models import count_as_measured

from profiler.devices import Device, all_devices, find_device
from profiler.errors import AmbiguousNameError, InputError, UnknownNameError
from profiler.projection.fit import LEAST, Sample, errors, fit
from profiler.projection.mode import Mode, Step
from profiler.projection.time_model import pass_range
from profiler.projection.time_table import TimeTable
from profiler.projection.time_table_files import device_kind, packaged_tables, time_table
from profiler.run.measured_passes import MeasuredPass, read_measured_passes

_NAME = re.compile(r"benchmark-(infer|train)-(\w+)-(nchw|nhwc)-pt(\d+)-(?:cu\d+-)?(?:cpu-)?(.+?)(-dynamo)?$")
#: The first major version of PyTorch with attention in one kernel.
_FUSES_ATTENTION = 2
#: A table under autocast to bfloat16 is held against the estimate under autocast to float16: their rates are the same.
_PRECISIONS = {
    "amp": "amp", "amp_bf16": "amp", "fp32": "float32", "float32": "float32", "fp16": "float16", "float16": "float16",
    "bf16": "bfloat16", "bfloat16": "bfloat16",
}  # fmt: skip
#: One model in so many is kept back.
_KEPT_BACK = 5
#: Standard deviation of the logarithm of a class's own factor in a fit to few models, and how many those are.
_OWN, _FEW = 0.15, 5
_COLUMNS = (
    "measured", "table", "passes", "median", "mean", "≤ 10%", "≤ 25%", "≤ 50%", "rank corr.", "in range", "bound max",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A table of measured times: of one device in one mode."""

    name: str
    device: Device
    mode: Mode
    step: Step
    rows: tuple[MeasuredPass, ...]
    #: Where they were published.
    source: str
    #: Whether models have timm's fast norms, and attention in one kernel.
    has_fast_norms: bool = False
    has_fused_attention: bool = True

    @property
    def key(self) -> Key:
        """The table of the package that estimates its passes."""
        return device_kind(self.device), self.mode, self.step

    @property
    def has_few(self) -> bool:
        """Whether it has so few passes that they tell of their device alone."""
        return len(self.rows) < FEW

    @property
    def group(self) -> str:
        """Its name, and that of the other tables of the file for the same mode and step."""
        return f"{self.name.partition(':')[0]}: {self.mode}, {self.step}"

    def sample(self, row: MeasuredPass) -> Sample:
        """Count a pass of the table."""
        profile = count_as_measured(
            row, has_fast_norms=self.has_fast_norms, has_fused_attention=self.has_fused_attention
        )
        return row.sample(self.device, self.mode, profile)


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
    tables = [table for path in paths for table in _tables(path)]
    if not tables:
        sys.exit("there is no table to hold the estimates against; name a folder of CSV files")
    if fit is not None:
        groups: defaultdict[Key, Group] = defaultdict(Group)
        for table in tables:
            group = groups[table.key]
            by_device = group.few if table.has_few else group.samples
            samples = _samples(table, models, jobs, seconds, kept_back=False)
            by_device[table.device.id] += samples
            group.sources += [table.source] if samples else []
        write_tables(groups, fit)
    unseen = {table.name: _samples(table, models, jobs, seconds, kept_back=True) for table in tables}
    too_few = [table.name for table in tables if not table.has_few and len(unseen[table.name]) < LEAST]
    if too_few:
        print(f"fewer than {LEAST} models that were kept back: {', '.join(too_few)}", file=sys.stderr)
    tables = [table for table in tables if table.name not in too_few]
    Console(width=190).print(result_table(tables, unseen))


def _tables(path: Path) -> list[Table]:
    """Read the tables of a file; one that cannot be read is named on stderr, and the others are read all the same."""
    try:
        return read_tables(path)
    except KeyError as error:
        print(f"{path.name}: left out: it has no column {error}", file=sys.stderr)
    except (InputError, ValueError) as error:
        print(f"{path.name}: left out: {error}", file=sys.stderr)
    return []


def read_tables(path: Path) -> list[Table]:
    """Read one of timm's tables, or those in a file of ``benchmarks/measured_times.py``.

    Raises:
        ValueError: Its precision or its device is unknown, or a number is none.
        KeyError: A column is missing.
    """
    match = _NAME.match(path.stem)
    if match is None:
        return _own_tables(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kind, precision, layout, torch, device, dynamo = match.groups()
    if precision not in _PRECISIONS:
        msg = f"its precision {precision!r} is none of {', '.join(_PRECISIONS)}"
        raise ValueError(msg)
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
    mode: Mode = "compiled" if dynamo else "channels_last" if layout == "nhwc" else "eager"
    fast = kind == "infer" and _PRECISIONS[precision] == "amp"
    if not passes:
        msg = "it has no row of a model that the installed timm has"
        raise ValueError(msg)
    fused = int(torch[0]) >= _FUSES_ATTENTION
    source = "timm's benchmark tables"
    return [Table(path.stem, _device(device), mode, passes[0].step, tuple(passes), source, fast, fused)]


def _own_tables(path: Path) -> list[Table]:
    """Return a table for each device, mode and step of a file that names them in each row."""
    groups: defaultdict[tuple[str, Mode, Step], list[MeasuredPass]] = defaultdict(list)
    for one in read_measured_passes(path, step="inference"):
        if one.device is None or one.mode is None:
            msg = "a row has no device or no mode"
            raise ValueError(msg)
        groups[one.device, one.mode, one.step].append(one)
    return [
        Table(
            f"{path.stem}: {device}, {mode}, {step}",
            find_device(device),
            mode,
            step,
            tuple(passes),
            path.name,
        )
        for (device, mode, step), passes in groups.items()
    ]


def _device(name: str) -> Device:
    """Return the device that a file's name means; of several parts that of workstations, or the shortest name.

    Raises:
        ValueError: The catalogue has none.
    """
    try:
        return find_device(name)
    except (AmbiguousNameError, UnknownNameError):
        words = re.findall(r"[a-z]+|\d+", name.lower())
        parts = re.compile(".*".join(rf"(?<!\d){word}(?!\d)" if word.isdigit() else word for word in words))
        matches = [device for device in all_devices().values() if parts.search(re.sub(r"\W", "", device.id))]
    if not matches:
        msg = f"the catalogue has no device {name!r}; add it to profiler/devices"
        raise ValueError(msg)
    return min(matches, key=lambda d: ("workstation" not in d.id, not d.id.startswith(words[0]), len(d.id)))


def is_kept_back(target: str) -> bool:
    """Return whether no table of the package is fitted to a model: its name decides."""
    name = target.removeprefix("timm:").split(".")[0]
    return zlib.crc32(name.encode()) % _KEPT_BACK == 0


def _samples(table: Table, models: int, jobs: int, seconds: int, *, kept_back: bool) -> list[Sample]:
    """Count the first *models* of a table that are kept back, or those that are not; all of a table of few."""
    rows = [row for row in table.rows if table.has_few or is_kept_back(row.target) == kept_back][:models]
    samples = Parallel(n_jobs=jobs)(delayed(_sample)(row, table, seconds) for row in rows)
    return [sample for sample in samples if sample is not None]


def _sample(row: MeasuredPass, table: Table, seconds: int) -> Sample | None:
    """Count a pass; None if the model raises or takes too long."""
    warnings.filterwarnings("ignore")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(seconds)
    try:
        return table.sample(row)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever the model raises
        print(f"{row.target}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
        return None
    finally:
        signal.alarm(0)


def result_table(tables: list[Table], unseen: dict[str, list[Sample]]) -> RichTable:
    """Return the table of errors, of what no table was fitted to."""
    shown = RichTable(title="models and devices not used in any fit")
    for column in _COLUMNS:
        is_name = column in _COLUMNS[:2]
        shown.add_column(column, justify="left" if is_name else "right", no_wrap=is_name)
    for table in tables:
        if not table.has_few:
            _add_kept_back(shown, table, unseen[table.name])
    for group in dict.fromkeys(table.group for table in tables if table.has_few):
        _add_left_out(shown, group, [table for table in tables if table.has_few and table.group == group], unseen)
    return shown


def _add_kept_back(shown: RichTable, table: Table, samples: list[Sample]) -> None:
    """Add the errors of models that were kept back, by the table of the package and by those of other devices."""
    unseen_by = [
        _without(other, table.device) for other in packaged_tables().values() if _is_of_another_device(other, table)
    ]
    rows = [(table.name.removeprefix("benchmark-"), "the package's", time_table(table.device, table.mode, table.step))]
    rows += [("", "as of another device", other) for other in unseen_by]
    for name, label, one in rows:
        for part, passes in _by_what_they_wait_for(samples, one, table.device).items():
            shown.add_row(name, label + part, *_scores([Case(sample, one, table.device) for sample in passes]))
    for other in unseen_by if len(samples) > _FEW else ():
        few = fit(samples[:_FEW], other.of_device(table.device, samples[0].precision), own=_OWN)
        shown.add_row("", "and five passes", *_scores([Case(sample, few, table.device) for sample in samples[_FEW:]]))


def _add_left_out(shown: RichTable, group: str, tables: list[Table], unseen: dict[str, list[Sample]]) -> None:
    """Add the errors of devices with few passes, each by a table that knows of other devices alone."""
    cases = [
        Case(sample, _without(other, table.device), table.device)
        for table in tables
        for other in packaged_tables().values()
        if _is_of_another_device(other, table)
        for sample in unseen[table.name]
    ]
    devices = len({case.device.id for case in cases})
    if len(cases) >= LEAST:
        shown.add_row(group, f"{devices} devices, each left out", *_scores(cases))


@dataclass(frozen=True, slots=True)
class Case:
    """A measured pass, and the table that estimates it."""

    sample: Sample
    table: TimeTable
    device: Device

    @property
    def own_table(self) -> TimeTable:
        """The table with the factors of the device."""
        return self.table.of_device(self.device, self.sample.precision)

    @property
    def estimate_s(self) -> float:
        """The estimate in seconds."""
        return self.own_table.pass_seconds(self.sample.ideals)

    @property
    def is_inside(self) -> bool:
        """Whether the measured time lies in the range that is printed with the estimate."""
        own, ideals = self.own_table, self.sample.ideals
        device_s, launch_s = own.device_and_launch_s(ideals)
        unmeasured = own.validation.unmeasured.keys() & ideals.keys() if own.validation else set()
        unmeasured_s = {class_: own.work_s(class_, ideals[class_]) for class_ in unmeasured}
        low, high = pass_range(self.table, self.device, self.sample.precision, device_s, launch_s, unmeasured_s)
        return low is not None and low <= self.sample.seconds <= (high or math.inf)


def _by_what_they_wait_for(samples: list[Sample], table: TimeTable, device: Device) -> dict[str, list[Sample]]:
    """Return the passes that wait for the device and those that wait for the host, if there are enough of each."""
    parts: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        device_s, launch_s = table.of_device(device, sample.precision).device_and_launch_s(sample.ideals)
        parts[", host-bound" if launch_s > device_s else ", device-bound"].append(sample)
    return dict(parts) if len(parts) > 1 and min(map(len, parts.values())) >= LEAST else {"": samples}


def _without(fitted: TimeTable, device: Device) -> TimeTable:
    """Return a table that knows of a device by others of its kind alone."""
    validation = fitted.validation
    if validation is not None:
        ranges = {name: of_device for name, of_device in validation.ranges.items() if name != device.id}
        validation = replace(validation, ranges=ranges)
    factors, kernels = (of_other_chips(known, device.id) for known in (fitted.factors, fitted.kernel_factors))
    return replace(fitted, factors=factors, kernel_factors=kernels, validation=validation)


def _is_of_another_device(fitted: TimeTable, table: Table) -> bool:
    """Return whether a table of the package is of the same kind and mode, and was fitted to another device."""
    if (fitted.kind, fitted.mode, fitted.step) != table.key:
        return False
    return fitted.main not in {None, table.device.id}


def _scores(cases: list[Case]) -> list[str]:
    samples, estimates = [case.sample for case in cases], [case.estimate_s for case in cases]
    held = errors(samples, estimates)
    correlation = spearmanr(estimates, [sample.seconds for sample in samples]).statistic
    figures = [
        f"{median(held):.1%}",
        f"{fmean(held):.1%}",
        *(f"{fmean(error <= limit for error in held):.0%}" for limit in (0.1, 0.25, 0.5)),
        f"{correlation:.3f}",
        f"{fmean(case.is_inside for case in cases):.0%}",
        f"{max(sample.bound_s / sample.seconds for sample in samples):.2f}",
    ]
    return [str(len(samples)), *figures]


if __name__ == "__main__":
    cyclopts.run(main)
