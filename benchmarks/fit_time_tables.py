"""Fit the time tables of the package to measured passes: ``benchmarks/estimates.py --fit``."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

from numpy import array, concatenate, exp, hypot, log, sqrt
from scipy.optimize import least_squares

from profiler.devices import find_device
from profiler.projection.fit import Sample, errors, fit, held_out_estimates, range_of, ratios
from profiler.projection.mode import UNMERGED, Mode, Step
from profiler.projection.time_table import DeviceKind, TimeTable, Validation, overlapped
from profiler.projection.time_table_files import format_time_table

#: A table of the package: of a kind of device, a mode and a step.
Key = tuple[DeviceKind, Mode, Step]
#: Standard deviations of the logarithm of a class's own factor that are tried. The one with the least error on models
#: of other folds is taken.
_OWN = (0.2, 0.4, 0.7, 1.0)
#: Where a fit begins: plausible shares, and the least time of a kernel.
_KERNEL_US: dict[DeviceKind, float] = {"GPU": 3.0, "CPU": 20.0, "NPU": 1.0}
#: Where the constant of a pass begins: an NPU is called through its driver.
_PASS_US: dict[DeviceKind, float] = {"GPU": 0.0, "CPU": 0.0, "NPU": 300.0}
#: Fewer passes than this tell nothing of classes.
_LEAST_PASSES = 20
#: Part of the passes at batch 1 from which they tell of the host.
_SMALL = 0.1
#: A range of fewer ratios is not stated.
_LEAST_OF_A_RANGE = 8
#: Where the time of a launch begins; an inference engine launches many kernels at once.
_LAUNCH_US: dict[Mode, float] = {"eager": 20.0, "channels_last": 20.0, "compiled": 20.0, "deployed": 0.0}
#: Standard deviation of the logarithm of a measured time ÷ estimate.
_NOISE = 0.1
#: Time of a load from a GPU's memory in an eager run. Source: EfficientFormerV2-S1 on an RTX 3090 takes 633 ms more
#: than its other kernels, for 2.1 million images that it resizes one after another.
_WAIT_US = 0.3
_START = TimeTable(
    "GPU",
    "eager",
    "inference",
    kernel_us=3.0,
    launch_us=0.0,
    compute={"matmul": 0.6, "conv_grouped": 0.3, "depthwise_3x3": 0.3},
    memory={"pointwise": 0.8, "matmul": 0.8},
)
#: The mode whose table a fit begins with, if there is one.
_BEGINS_WITH: dict[Mode, Mode] = {"channels_last": "eager", "deployed": "compiled"}
#: Share of the bandwidth of products with few vectors, which tables of images do not have. Source: decoding at batch
#: size 1, Llama-3-8B on an RTX A6000 (torchao, documentation of quantized inference: 0.632) and a 13 B model on an A100
#: (16.5 ms of memory time in 22.0 ms; llm-analysis: 0.750): their mean.
_DECODING = {"matvec": 0.69}
#: Classes of an inference engine that keep their share of compiled PyTorch: copies are those of DenseNets, which took
#: two to three times as long on an AGX Xavier as on a Jetson Nano.
_AS_COMPILED = ("fused_copy",)


@dataclass
class Group:
    """Measured passes that one table is fitted to."""

    #: By id of the device.
    samples: defaultdict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    #: Where they were published.
    sources: list[str] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The device with most samples, of those whose bandwidth is known."""
        return max(self.samples, key=lambda device: (has_bandwidth(device), len(self.samples[device])))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that were measured on the device with most samples."""
        return tuple(sorted({sample.precision for sample in self.samples[self.main]}))

    @property
    def all_samples(self) -> list[Sample]:
        """The samples of all devices."""
        return [sample for samples in self.samples.values() for sample in samples]


@dataclass(frozen=True)
class Carried:
    """A table on another device: a factor for its work, and one for each of its kernels and their launches."""

    table: TimeTable
    factor: float
    kernel_factor: float
    samples: list[Sample]

    @property
    def launched(self) -> list[Sample]:
        """The passes that wait for the host."""
        return [sample for sample in self.samples if self._parts(sample)[1] > self._parts(sample)[0]]

    @property
    def on_device(self) -> list[Sample]:
        """The passes that wait for the device."""
        return [sample for sample in self.samples if self._parts(sample)[1] <= self._parts(sample)[0]]

    @property
    def has_small_batches(self) -> bool:
        """Whether a tenth of the passes is at batch 1."""
        return fmean(sample.name.endswith("batch 1") for sample in self.samples) >= _SMALL

    def ratios(self, samples: list[Sample]) -> list[float]:
        """Return measured time ÷ estimate of passes."""
        return ratios(samples, [overlapped(*self._parts(sample)) for sample in samples])

    def _parts(self, sample: Sample) -> tuple[float, float]:
        work, kernels, launches = times_of(self.table, sample)
        return self.factor * work + self.kernel_factor * kernels, self.kernel_factor * launches


def write_tables(groups: dict[Key, Group], folder: Path) -> None:
    """Fit a table to each group, and write them."""
    fitted: dict[Key, TimeTable] = {}
    enough = (key for key, group in groups.items() if len(group.samples[group.main]) >= _LEAST_PASSES)
    for kind, mode, step in sorted(enough, key=lambda key: key[1] in _BEGINS_WITH):
        start = fitted.get((kind, _BEGINS_WITH.get(mode, mode), step))
        fitted[kind, mode, step] = fit_group((kind, mode, step), groups[kind, mode, step], start)
    seen = [one.validation.range_elsewhere for key, one in fitted.items() if _is_comparable(key) and one.factors]
    for key, one in fitted.items():
        text = format_time_table(_with_range_elsewhere(one, seen) if _is_comparable(key) and seen else one)
        (folder / f"{'-'.join(key).lower()}.json").write_text(text, encoding="utf-8")


def _is_comparable(key: Key) -> bool:
    """Return whether a table is of PyTorch itself: devices differ as much in one such table as in another."""
    return key[1] != "deployed"


def _with_range_elsewhere(table: TimeTable, ranges: list[tuple[float, float]]) -> TimeTable:
    """Return a table with the widest range of other devices that any table found: each has seen few of them."""
    return replace(table, validation=replace(table.validation, range_elsewhere=_widest(ranges)))


def _widest(ranges: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the range that holds all others."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def fit_group(key: Key, group: Group, start: TimeTable | None = None) -> TimeTable:
    """Fit a table to the device with most models; the others get factors, and give the range elsewhere."""
    start = _start(key, start)
    samples = group.samples[group.main]
    pool = [*samples, *_on_other_devices(group, fit(samples, start))]
    own, estimates = _best(pool, start)
    table = _with_published_shares(fit(pool, start, own=own), start)
    siblings = held_out_estimates(pool, start, own=own)
    held = [*zip(samples, estimates, strict=False), *zip(samples, siblings, strict=False)]
    of_main = range_of([sample.seconds / estimate for sample, estimate in held])
    everywhere = {device: carry(table, others) for device, others in group.samples.items()}
    everywhere[group.main] = Carried(table, 1.0, 1.0, samples)
    table = _with_kernel_factors(table, everywhere, group.main, is_fastest=bool(start.launch_us))
    alike = _alike(everywhere, group)
    kinds = by_kind({group.main: 1.0} | {device: carried.factor for device, carried in alike.items()})
    ranges = {group.main: of_main} | {
        device: _widest([of_main, range_of(carried.ratios(carried.on_device))])
        for device, carried in alike.items()
        if len(carried.on_device) >= _LEAST_OF_A_RANGE
    }
    validation = _validation(group, errors(samples, estimates[: len(samples)]), ranges)
    elsewhere = [of_device for device, of_device in ranges.items() if has_bandwidth(device)]
    elsewhere += _range_of_unseen(replace(table, factors=kinds, launch_us=0.0), everywhere, group.main)
    launches = _launch_range(table, everywhere)
    validation = replace(validation, range_elsewhere=_widest(elsewhere), launch_range=launches)
    factors = {group.main: 1.0} | {device: carried.factor for device, carried in alike.items()} | kinds
    return replace(_rounded(replace(table, factors=factors if alike else {})), validation=validation)


def _start(key: Key, start: TimeTable | None) -> TimeTable:
    """Return where the fit of a table begins: at another table, or at plausible shares."""
    kind, mode, step = key
    start = start or replace(_START, kernel_us=_KERNEL_US[kind], pass_us=_PASS_US[kind])
    wait_us = _WAIT_US if kind == "GPU" and mode in UNMERGED else 0.0
    launch_us = start.launch_us if mode in UNMERGED else 0.0
    start = replace(start, kind=kind, mode=mode, step=step, wait_us=wait_us, launch_us=launch_us)
    return replace(start, factors={}, kernel_factors={}, validation=None)


def _with_published_shares(table: TimeTable, start: TimeTable) -> TimeTable:
    """Return a table of a GPU with what its passes tell nothing of: launches, decoding, and an engine's copies."""
    if table.kind != "GPU":
        return table
    kept = {name: start.memory[name] for name in _AS_COMPILED if table.mode == "deployed"}
    return replace(
        table,
        launch_us=start.launch_us or _LAUNCH_US[table.mode],
        compute=table.compute | {"matvec": table.compute["matmul"]},
        memory=table.memory | _DECODING | kept,
    )


def _alike(everywhere: dict[str, Carried], group: Group) -> dict[str, Carried]:
    """Return the table on the other devices by their passes in the precisions of the main one."""
    samples = {
        device: [sample for sample in carried.samples if sample.precision in group.precisions]
        for device, carried in everywhere.items()
        if device != group.main
    }
    return {device: carry(everywhere[device].table, alike) for device, alike in samples.items() if alike}


def _range_of_unseen(table: TimeTable, everywhere: dict[str, Carried], main: str) -> list[tuple[float, float]]:
    """Return the range of passes that wait for another device, by a table that knows its kind alone."""
    of_kinds = {name: factor for name, factor in table.kernel_factors.items() if name not in everywhere}
    unseen = [
        sample.seconds / of_kind.pass_seconds(sample.ideals)
        for device, carried in everywhere.items()
        if device != main and has_bandwidth(device)
        for sample in carried.on_device
        for of_kind in [replace(table, kernel_factors=of_kinds).of_device(find_device(device), sample.precision)]
    ]
    return [range_of(unseen)] if unseen else []


def _validation(group: Group, held: list[float], ranges: dict[str, tuple[float, float]]) -> Validation:
    """Return what a table was held against, by the errors of the main device's models."""
    times_ms = [1e3 * sample.seconds for sample in group.all_samples]
    return Validation(
        source="; ".join(dict.fromkeys(group.sources)),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ranges=ranges,
        range_elsewhere=(1.0, 1.0),
        precisions=group.precisions,
        passes=len(times_ms),
        mean_error=round(fmean(held), 4),
        median_error=round(median(held), 4),
        fastest_ms=round(min(times_ms), 3),
        slowest_ms=round(max(times_ms), 3),
    )


def _on_other_devices(group: Group, table: TimeTable) -> list[Sample]:
    """Return the passes of other devices that wait for the device, with the times that they would have on the main one.

    Args:
        group: The group, of whose other devices only those with enough such passes are taken.
        table: A table that was fitted to the main device.
    """
    found: list[Sample] = []
    for device, others in group.samples.items():
        alike = [sample for sample in others if sample.precision in group.precisions]
        if device != group.main and has_bandwidth(device) and len(alike) >= _LEAST_OF_A_RANGE:
            carried = carry(table, alike)
            on_main = (table.pass_seconds(sample.ideals) for sample in carried.on_device)
            of_estimate = carried.ratios(carried.on_device)
            found += [
                replace(sample, seconds=ratio * seconds)
                for sample, ratio, seconds in zip(carried.on_device, of_estimate, on_main, strict=True)
            ]
    return found


def times_of(table: TimeTable, sample: Sample) -> tuple[float, float, float]:
    """Return the seconds of a pass: of its work, of its kernels whatever their work, and of their launches."""
    device_s, launch_s = table.device_and_launch_s(sample.ideals)
    kernels_s = sample.kernels * table.kernel_us * 1e-6
    return device_s - kernels_s, kernels_s, launch_s


def carry(table: TimeTable, samples: list[Sample]) -> Carried:
    """Find the factors by which a table fits the passes of another device best; that of kernels is 1 but on GPUs."""
    work, kernels, launches = array([times_of(table, sample) for sample in samples]).T
    measured = log([sample.seconds for sample in samples])
    has_host = table.kind == "GPU"

    def residuals(p: Any) -> Any:
        factor, kernel = exp(p[0]), exp(p[1] * has_host)
        times = sqrt(hypot((factor * work + kernel * kernels) ** 2, (kernel * launches) ** 2))  # as `overlapped`
        return concatenate([(log(times) - measured) / _NOISE, p])

    factor, kernel = map(float, exp(least_squares(residuals, [0.0, 0.0], loss="soft_l1").x))
    return Carried(table, factor, kernel if has_host else 1.0, samples)


def _with_kernel_factors(table: TimeTable, everywhere: dict[str, Carried], main: str, *, is_fastest: bool) -> TimeTable:
    """Return a table with the launches of the fastest host beside a GPU, and the factors of SoCs.

    Args:
        table: The table, fitted to the main device.
        everywhere: The table on each device, of which those with small batches tell of hosts.
        main: The main device.
        is_fastest: Whether the launches of the table are already those of the fastest host.
    """
    if table.kind != "GPU":
        return table
    factors = {device: carried.kernel_factor for device, carried in everywhere.items() if carried.has_small_batches}
    beside = [factor for device, factor in factors.items() if not is_soc(device)]
    fastest = 1.0 if is_fastest else min(beside, default=1.0)
    on_chip = {device: factor / fastest for device, factor in factors.items() if is_soc(device)}
    return replace(
        table,
        kernel_us=table.kernel_us * (fastest if main in factors else 1.0),
        launch_us=table.launch_us * fastest,
        kernel_factors=on_chip | by_kind(on_chip),
    )


def _launch_range(table: TimeTable, everywhere: dict[str, Carried]) -> tuple[float, float]:
    """Return the range of measured time ÷ launches of the passes that wait for the host."""
    waiting = [
        sample.seconds / (sample.kernels * table.of_device(find_device(device)).launch_s)
        for device, carried in everywhere.items()
        for sample in carried.launched
        if table.launch_us and carried.has_small_batches
    ]
    return range_of(waiting) if waiting else (1.0, 1.0)


def by_kind(factors: dict[str, float]) -> dict[str, float]:
    """Return the factor of a kind of device: the median of its devices, except those of unknown bandwidth."""
    kinds: defaultdict[str, list[float]] = defaultdict(list)
    for device, factor in factors.items():
        if has_bandwidth(device):
            kinds[find_device(device).kind].append(factor)
    return {kind: median(of_kind) for kind, of_kind in kinds.items()}


def is_soc(device: str) -> bool:
    """Return whether the host of a device is on the same chip."""
    return find_device(device).kind == "edge SoC"


def has_bandwidth(device: str) -> bool:
    """Return whether the bandwidth of a device is known."""
    return find_device(device).bandwidth_bytes_per_s is not None


def _best(samples: list[Sample], start: TimeTable) -> tuple[float, list[float]]:
    """Return how far a class may differ from the others, and the estimates of each sample by those of other folds."""
    tried = {own: held_out_estimates(samples, start, own=own, group=family) for own in _OWN}
    own = min(tried, key=lambda own: fmean(errors(samples, tried[own])))
    return own, tried[own]


def family(sample: Sample) -> str:
    """Return the family of a model: a user's model is rarely a sibling of those that were measured.

    Example:
        >>> [family(Sample({}, 1.0, name)) for name in ("timm:tf_efficientnet_b0, batch 1", "timm:resnet50, batch 1")]
        ['efficientnet', 'resnet']
    """
    found = re.match(r"(?:timm:)?(?:tf_)?([a-z]*)", sample.model)
    return found[1] if found else ""


def _rounded(table: TimeTable) -> TimeTable:
    shares = {name: _rounded_to(getattr(table, name), 4) for name in ("compute", "memory")}
    factors = {name: _rounded_to(getattr(table, name), 3) for name in ("factors", "kernel_factors")}
    fixed = {name: round(getattr(table, name), 3) for name in ("kernel_us", "pass_us", "launch_us")}
    return replace(table, **shares, **factors, **fixed)


def _rounded_to(values: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
