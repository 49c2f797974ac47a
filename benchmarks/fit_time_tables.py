"""Fit the time tables of the package to measured passes: ``benchmarks/estimates.py --fit``."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

from device_factors import (
    FEW,
    Carried,
    Fitted,
    Key,
    by_kind,
    carry,
    has_bandwidth,
    is_soc,
    widest,
    with_factors,
)

from profiler.devices import find_device
from profiler.projection.fit import Sample, errors, fit, held_out_estimates, range_of
from profiler.projection.mode import UNMERGED, Mode
from profiler.projection.time_table import OF_VECTOR_UNITS, DeviceKind, TimeTable
from profiler.projection.time_table_files import format_time_table
from profiler.projection.validation import Validation

#: Standard deviations of the logarithm of a class's own factor that are tried. The one with the least error on models
#: of other folds is taken.
_OWN = (0.2, 0.4, 0.7, 1.0)
#: Where a fit begins: plausible shares, and the least time of a kernel.
_KERNEL_US: dict[DeviceKind, float] = {"GPU": 3.0, "CPU": 20.0, "NPU": 1.0}
#: Where the constant of a pass begins: an NPU is called through its driver.
_PASS_US: dict[DeviceKind, float] = {"GPU": 0.0, "CPU": 0.0, "NPU": 300.0}
#: Fewer passes than this tell nothing of classes.
_LEAST_PASSES = 20
#: Where the time of a launch begins; an inference engine launches many kernels at once.
_LAUNCH_US: dict[Mode, float] = {"eager": 20.0, "channels_last": 20.0, "compiled": 20.0, "deployed": 0.0}
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
#: Shares of fused attention in a training step, of which the tables have none: timm's training was measured with
#: PyTorch 1.12, before it had such a kernel. Published shares of the peak over long sequences, forward and backward,
#: are 0.5 to 0.73 on an A100 (FlashAttention-2, arXiv:2307.08691), 0.71 on an RTX A5000 (gpu-mode/ring-attention, issue
#: 10), 0.31 on an H100 and 0.59 there by FlashAttention-3 (Dao-AILab/flash-attention, pull request 1791), and at the
#: median of the shapes that PyTorch's developers try 0.25 on an A100 (pytorch/pytorch, pull request 192799). The share
#: is in their middle. That of the bandwidth makes 512 tokens take as much longer than 8,192 as on the A5000, 1.33 x.
_ATTENTION = {"compute": {"attention": 0.5}, "memory": {"attention": 0.8}}
#: The range of these, as measured ÷ estimate with the factors of their devices.
_RANGE_OF_ATTENTION = (0.6, 1.6)
#: Classes of an inference engine that keep their share of compiled PyTorch: copies are those of DenseNets, which took
#: two to three times as long on an AGX Xavier as on a Jetson Nano.
_AS_COMPILED = ("fused_copy",)


@dataclass
class Group:
    """Measured passes that one table is fitted to."""

    #: By id of the device.
    samples: defaultdict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    #: The same for tables of few passes, which tell of their device alone.
    few: defaultdict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    #: Where they were published.
    sources: list[str] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The device with most models, of those whose bandwidth is known."""
        models = {device: len({sample.model for sample in samples}) for device, samples in self.samples.items()}
        return max(models, key=lambda device: (has_bandwidth(device), models[device]))

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that were measured on the device with most samples."""
        return tuple(sorted({sample.precision for sample in self.by_device[self.main]}))

    @property
    def by_device(self) -> dict[str, list[Sample]]:
        """All samples of each device."""
        devices = dict.fromkeys([*self.samples, *self.few])
        found = {device: [*self.samples.get(device, ()), *self.few.get(device, ())] for device in devices}
        return {device: samples for device, samples in found.items() if samples}


def write_tables(groups: dict[Key, Group], folder: Path) -> None:
    """Fit a table to each group, and write them."""
    fitted: dict[Key, Fitted] = {}
    measured = {key: group for key, group in groups.items() if group.samples}
    enough = (key for key, group in measured.items() if len(group.samples[group.main]) >= _LEAST_PASSES)
    for kind, mode, step in sorted(enough, key=lambda key: key[1] in _BEGINS_WITH):
        start = fitted.get((kind, _BEGINS_WITH.get(mode, mode), step))
        fitted[kind, mode, step] = fit_group((kind, mode, step), groups[kind, mode, step], start and start.table)
    pools: defaultdict[tuple[DeviceKind, bool], dict[Key, Fitted]] = defaultdict(dict)
    for key, one in fitted.items():
        pools[key[0], _is_comparable(key)][key] = one
    for (_, is_comparable), pool in pools.items():
        for key, table in with_factors(pool, is_comparable=is_comparable).items():
            (folder / f"{'-'.join(key).lower()}.json").write_text(format_time_table(table), encoding="utf-8")


def _is_comparable(key: Key) -> bool:
    """Return whether a table is of PyTorch itself: devices differ as much in one such table as in another."""
    return key[1] != "deployed"


def fit_group(key: Key, group: Group, start: TimeTable | None = None) -> Fitted:
    """Fit a table to the device with most models, and carry it to the others."""
    start = _start(key, start)
    samples = group.samples[group.main]
    pool = [*samples, *_on_other_devices(group, fit(samples, start))]
    own, estimates = _best(pool, start)
    table = _with_published_shares(fit(pool, start, own=own), start)
    siblings = held_out_estimates(pool, start, own=own)
    held = [*zip(samples, estimates, strict=False), *zip(samples, siblings, strict=False)]
    of_main = range_of([sample.seconds / estimate for sample, estimate in held])
    everywhere = {device: carry(table, device, others) for device, others in group.by_device.items()}
    everywhere[group.main] = Carried(table, find_device(group.main), 1.0, 1.0, samples)
    table = _with_kernel_factors(table, everywhere, group.main, is_known=bool(start.launch_us))
    validation = _validation(group, errors(samples, estimates[: len(samples)]), {group.main: of_main})
    validation = replace(
        validation, launch_range=_launch_range(table, everywhere), unmeasured=_unmeasured(table, group)
    )
    return Fitted(replace(table, validation=validation), group.main, everywhere, _alike(everywhere, group))


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
    published = _ATTENTION if table.step == "training" else {"compute": {}, "memory": {}}
    return replace(
        table,
        launch_us=start.launch_us or _LAUNCH_US[table.mode],
        compute={**published["compute"], **table.compute, "matvec": table.compute["matmul"]},
        memory={**published["memory"], **table.memory, **_DECODING, **kept},
    )


def _alike(everywhere: dict[str, Carried], group: Group) -> dict[str, Carried]:
    """Return the table on the other devices by their passes on units like those of the main one: matrix, or vector."""
    is_vector = OF_VECTOR_UNITS.issuperset(group.precisions)
    samples = {
        device: [sample for sample in carried.samples if (sample.precision in OF_VECTOR_UNITS) == is_vector]
        for device, carried in everywhere.items()
        if device != group.main
    }
    return {device: carry(everywhere[device].table, device, alike) for device, alike in samples.items() if alike}


def _unmeasured(table: TimeTable, group: Group) -> dict[str, tuple[float, float]]:
    """Return the ranges of published shares whose classes no pass has; decoding was held against published times."""
    measured = {class_ for samples in group.by_device.values() for sample in samples for class_ in sample.ideals}
    names = _ATTENTION["compute"].keys() & table.compute.keys() - measured
    return dict.fromkeys(sorted(names), _RANGE_OF_ATTENTION)


def _validation(group: Group, held: list[float], ranges: dict[str, tuple[float, float]]) -> Validation:
    """Return what a table was held against, by the errors of the main device's models."""
    times_ms = [1e3 * sample.seconds for samples in group.by_device.values() for sample in samples]
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
        if device != group.main and has_bandwidth(device) and len(alike) >= FEW:
            carried = carry(table, device, alike)
            on_main = (table.pass_seconds(sample.ideals) for sample in carried.on_device)
            of_estimate = carried.ratios(carried.on_device)
            found += [
                replace(sample, seconds=ratio * seconds)
                for sample, ratio, seconds in zip(carried.on_device, of_estimate, on_main, strict=True)
            ]
    return found


def _with_kernel_factors(table: TimeTable, everywhere: dict[str, Carried], main: str, *, is_known: bool) -> TimeTable:
    """Return a table with the launches of the fastest host beside a GPU, and the factors of SoCs.

    A host that few passes at batch 1 tell of counts only where there is no other. An inference engine launches many
    kernels at once: the time of one is that of the device, and all devices have a factor.

    Args:
        table: The table, fitted to the main device.
        everywhere: The table on each device, of which those with small batches tell of hosts.
        main: The main device.
        is_known: Whether the launches of the table are already those of that host.
    """
    if table.kind != "GPU":
        return table
    small = {device: carried for device, carried in everywhere.items() if carried.has_small_batches}
    beside = [carried for device, carried in small.items() if not is_soc(device)]
    measured = [carried for carried in beside if carried.small_batches >= FEW] or beside
    of_host = 1.0 if is_known else min((carried.kernel_factor for carried in measured), default=1.0)
    of_device = [device for device in small if is_soc(device) or not table.launch_us]
    own = {device: small[device].kernel_factor / of_host for device in of_device}
    return replace(
        table,
        kernel_us=table.kernel_us * (of_host if main in small else 1.0),
        launch_us=table.launch_us * of_host,
        kernel_factors=own | by_kind(own),
    )


def _launch_range(table: TimeTable, everywhere: dict[str, Carried]) -> tuple[float, float]:
    """Return the range of measured time ÷ launches of the passes that wait for the host: the widest of all hosts."""
    if not table.launch_us:
        return 1.0, 1.0
    hosts = [
        range_of([sample.seconds / (sample.kernels * launch_s) for sample in carried.launched])
        for device, carried in everywhere.items()
        for launch_s in [table.of_device(find_device(device)).launch_s]
        if carried.has_small_batches and carried.launched
    ]
    return widest(hosts) if hosts else (1.0, 1.0)


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
