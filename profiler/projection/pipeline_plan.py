"""Several models on one device, or each on its own: do their rates, and their memory, fit together?"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from profiler.projection.device_memory import memory_needed, usable_bytes
from profiler.projection.efficiency import UTILISATION, FixedEfficiency
from profiler.projection.llm_decoding import Decoding
from profiler.projection.precision import choose
from profiler.projection.project import Demand, DevicePass
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.efficiency import Efficiency
    from profiler.projection.pipeline_file import Stage
    from profiler.tally import Profile


_SEQUENCE = "one pass of each stage, one after another; of a stage that makes tokens, up to its first"


@dataclass(frozen=True, slots=True)
class Counted:
    """A stage with the pass that it repeats; one that makes tokens has read its prompt before."""

    stage: Stage
    profile: Profile
    device: Device
    precision: str | None = None
    prefill: Profile | None = None
    #: Bytes that a step reads and keeps beside its weights: the cache of keys and values.
    cache_bytes: int = 0
    efficiency: Efficiency = field(default_factory=FixedEfficiency)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What a stage takes on its device."""

    name: str
    target: str
    device: str
    precision: str
    rate: Figure
    ops: Figure
    required_tops: Figure
    bound_s: Figure
    estimate_s: Figure
    #: Of a stage that makes tokens: until the first.
    first_bound_s: Figure | None
    first_s: Figure | None
    #: Of one that makes tokens: the rate that nothing beats, and from which batch on compute is the limit.
    tokens_per_s_bound: Figure | None
    critical_batch: Figure | None
    memory: Figure
    #: Of the device's time, at the planned utilisation.
    load: Figure


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What all stages on a device take together."""

    device: str
    required_tops: Figure
    load: Figure
    memory: Figure
    memory_share: Figure | None

    @property
    def fits(self) -> bool:
        """Whether rates and memory are within it."""
        return float(self.load.value) <= 1 and (self.memory_share is None or float(self.memory_share.value) <= 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline on its devices."""

    name: str
    stages: tuple[StagePlan, ...]
    devices: tuple[DevicePlan, ...]
    #: One pass of each stage, one after another; of a stage that makes tokens, up to its first.
    latency_bound_s: Figure
    latency_s: Figure
    #: How many times its rates all of it could run.
    headroom: Figure

    @property
    def fits(self) -> bool:
        """Whether every device holds and sustains its stages."""
        return all(device.fits for device in self.devices)


def plan(name: str, stages: list[Counted], utilisation: float = UTILISATION) -> Plan:
    """Put stages on their devices.

    Raises:
        DeviceError: A device lacks a precision.
        PlanError: The utilisation is no share.
    """
    Demand(None, utilisation)
    rows = [_stage(counted, utilisation) for counted in stages]
    groups: dict[str, list[tuple[Counted, StagePlan]]] = defaultdict(list)
    for counted, row in zip(stages, rows, strict=True):
        groups[counted.device.id].append((counted, row))
    devices = tuple(_device(members) for members in groups.values())
    busiest = max(float(device.load.value) for device in devices)
    return Plan(
        name=name,
        stages=tuple(rows),
        devices=devices,
        latency_bound_s=Figure(math.fsum(_s(row.first_bound_s or row.bound_s) for row in rows), "bound", _SEQUENCE),
        latency_s=Figure(math.fsum(_s(row.first_s or row.estimate_s) for row in rows), "estimate", _SEQUENCE),
        headroom=Figure(1 / busiest, "estimate", f"1 ÷ the load of the busiest device, {busiest:.3g}"),
    )


def _stage(counted: Counted, utilisation: float) -> StagePlan:
    run, stage = _pass(counted, counted.profile), counted.stage
    cache_s = _cache_seconds(counted)
    sustained = max(run.sustained(utilisation).compute_s, run.sustained(utilisation).memory_s + cache_s)
    rate, ops = stage.rate, counted.profile.totals.flops
    needed = memory_needed(counted.profile, run.scheme)
    prefill = None if counted.prefill is None else _pass(counted, counted.prefill)
    return StagePlan(
        name=stage.name,
        target=stage.target,
        device=counted.device.id,
        precision=run.scheme.name,
        rate=Figure(rate, "bound", "tokens a second" if stage.tokens_per_s else "passes a second"),
        ops=Figure(ops, "bound", "counted, one pass"),
        required_tops=Figure(ops * rate / utilisation / 1e12, "estimate", f"{ops:,} × {rate:.4g}/s ÷ {utilisation:g}"),
        bound_s=Figure(max(run.bound.compute_s, run.bound.memory_s + cache_s), "bound", run.bound.limit),
        estimate_s=Figure(run.estimate_s + cache_s, "estimate", counted.efficiency.stated),
        first_bound_s=None if prefill is None else Figure(prefill.bound.seconds, "bound", "reading the prompt"),
        first_s=None if prefill is None else Figure(prefill.estimate_s, "estimate", "reading the prompt"),
        **_decoding(counted, run),
        memory=Figure(int(needed.value) + counted.cache_bytes, needed.kind, needed.source),
        load=Figure(rate * sustained, "estimate", f"rate × {sustained:.3g} s"),
    )


def _decoding(counted: Counted, run: DevicePass) -> dict[str, Figure | None]:
    """Bound the making of tokens; nothing for a stage that makes none, or without a known bandwidth."""
    nothing: dict[str, Figure | None] = {"tokens_per_s_bound": None, "critical_batch": None}
    bandwidth, batch = counted.device.bandwidth_bytes_per_s, counted.stage.batch or 1
    if counted.prefill is None or bandwidth is None:
        return nothing
    ops, cache = counted.profile.totals.flops // batch, counted.cache_bytes // batch
    step = Decoding(run.compulsory_bytes, cache, ops, run.peak, bandwidth)
    source = f"{step.weight_bytes:,} bytes of weights a step, {cache:,} of cache and {ops:,} operations a sequence"
    found = nothing | {"tokens_per_s_bound": Figure(step.tokens_per_s(batch), "bound", source)}
    if math.isfinite(step.critical_batch):
        found["critical_batch"] = Figure(step.critical_batch, "bound", source)
    return found


def _pass(counted: Counted, profile: Profile) -> DevicePass:
    scheme = choose(profile, counted.device, counted.precision)
    return DevicePass.of(profile, counted.device, scheme, counted.efficiency)


def _cache_seconds(counted: Counted) -> float:
    """Give the time of reading the cache once, which no weight's bytes contain."""
    bandwidth = counted.device.bandwidth_bytes_per_s
    return counted.cache_bytes / bandwidth if bandwidth else 0.0


def _device(members: list[tuple[Counted, StagePlan]]) -> DevicePlan:
    device = members[0][0].device
    rows = [row for _, row in members]
    memory = sum(int(row.memory.value) for row in rows)
    usable = usable_bytes(device)
    names = " + ".join(row.name for row in rows)
    return DevicePlan(
        device=device.id,
        required_tops=Figure(math.fsum(float(row.required_tops.value) for row in rows), "estimate", names),
        load=Figure(math.fsum(float(row.load.value) for row in rows), "estimate", names),
        memory=Figure(memory, "estimate", f"{names}, all at once; a model of two stages counts twice"),
        memory_share=None if usable is None else Figure(memory / usable, "estimate", device.cite("memory")),
    )


def _s(figure: Figure) -> float:
    return float(figure.value)
