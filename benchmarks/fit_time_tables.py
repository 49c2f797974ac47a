"""Fit the time tables of the package to measured passes: ``benchmarks/estimates.py --fit``."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

from profiler.devices import find_device
from profiler.projection.fit import Sample, errors, fit, held_out_estimates, range_of, ratios
from profiler.projection.mode import UNMERGED, Mode, Step
from profiler.projection.time_table import DeviceKind, TimeTable, Validation
from profiler.projection.time_table_files import format_time_table

#: A table of the package: of a kind of device, a mode and a step.
Key = tuple[DeviceKind, Mode, Step]
#: Standard deviations of the logarithm of a class's own factor that are tried. The one with the least error on models
#: of other folds is taken.
_OWN = (0.2, 0.4, 0.7, 1.0)
#: Where a fit begins: plausible shares, and the least time of a kernel.
_KERNEL_US = {"GPU": 3.0, "CPU": 20.0, "NPU": 5.0}
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
_BEGINS_WITH: dict[Mode, Mode] = {"channels_last": "eager"}
#: Share of the bandwidth of products with few vectors, which tables of images do not have. Source: decoding at batch
#: size 1, Llama-3-8B on an RTX A6000 (torchao, documentation of quantized inference: 0.632) and a 13 B model on an A100
#: (16.5 ms of memory time in 22.0 ms; llm-analysis: 0.750): their mean.
_DECODING = {"matvec": 0.69}


@dataclass
class Group:
    """Measured passes that one table is fitted to."""

    #: By id of the device.
    samples: defaultdict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    precisions: set[str] = field(default_factory=set)

    @property
    def main(self) -> str:
        """The device with most samples."""
        return max(self.samples, key=lambda device: len(self.samples[device]))

    @property
    def all_samples(self) -> list[Sample]:
        """The samples of all devices."""
        return [sample for samples in self.samples.values() for sample in samples]


def write_tables(groups: dict[Key, Group], folder: Path) -> None:
    """Fit a table to each group, and write them."""
    fitted: dict[Key, TimeTable] = {}
    for kind, mode, step in sorted(groups, key=lambda key: key[1] in _BEGINS_WITH):
        start = fitted.get((kind, _BEGINS_WITH.get(mode, mode), step))
        fitted[kind, mode, step] = fit_group((kind, mode, step), groups[kind, mode, step], start)
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


def fit_group(key: Key, group: Group, start: TimeTable | None = None) -> TimeTable:
    """Fit a table to the device with most models; the others get a factor each, and give the range elsewhere."""
    kind, mode, step = key
    start = start or replace(_START, kernel_us=_KERNEL_US[kind])
    wait_us = _WAIT_US if kind == "GPU" and mode in UNMERGED else 0.0
    start = replace(start, kind=kind, mode=mode, step=step, wait_us=wait_us, factors={}, validation=None)
    samples = group.samples[group.main]
    own, estimates = _best(samples, start)
    launch_us = _launch_us(group.all_samples) if kind == "GPU" else 0.0
    table = replace(fit(samples, start, own=own), launch_us=launch_us)
    if kind == "GPU":
        table = replace(table, memory=table.memory | _DECODING)
    siblings = held_out_estimates(samples, start, own=own)
    of_main = range_of([*ratios(samples, estimates), *ratios(samples, siblings)])
    held, ranges, apart = errors(samples, estimates), {group.main: of_main}, list[float]()
    for device, others in group.samples.items():
        if device != group.main:
            plain = ratios(others, [table.pass_seconds(sample.ideals) for sample in others])
            found = find_device(device)
            factors = dict.fromkeys((device, found.kind), round(median(plain), 3))
            table = replace(table, factors=table.factors | factors)
            ranges[device] = range_of(ratios(others, [table.pass_seconds(s.ideals, found) for s in others]))
            apart += plain
    everywhere = [*ranges.values(), *([range_of(apart)] if apart else [])]
    times_ms = [1e3 * sample.seconds for sample in group.all_samples]
    validation = Validation(
        source="timm's benchmark tables of 2024 and docs/measured",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        ranges=ranges,
        range_elsewhere=(min(low for low, _ in everywhere), max(high for _, high in everywhere)),
        precisions=tuple(sorted(group.precisions)),
        passes=len(times_ms),
        mean_error=round(fmean(held), 4),
        median_error=round(median(held), 4),
        fastest_ms=round(min(times_ms), 3),
        slowest_ms=round(max(times_ms), 3),
    )
    return replace(_rounded(table), validation=validation)


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


def _launch_us(samples: list[Sample]) -> float:
    """Return the time in which the host launches a kernel: that of passes at batch 1, which wait for it."""
    times = [1e6 * sample.seconds / sample.kernels for sample in samples if sample.name.endswith("batch 1")]
    return round(median(times), 2) if times else 0.0


def _rounded(table: TimeTable) -> TimeTable:
    compute, memory = ({k: round(v, 4) for k, v in shares.items()} for shares in (table.compute, table.memory))
    return replace(table, compute=compute, memory=memory, kernel_us=round(table.kernel_us, 3))
