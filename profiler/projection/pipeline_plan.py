"""Pipeline plans: several models on one device, or on several: do the rates and the memory fit together?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.projection.demand import Demand
from profiler.projection.device_memory import memory_needed, usable_bytes
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.llm_decoding import DecodeStep
from profiler.projection.precision import choose_precision
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.projection.pipeline_file import Stage
    from profiler.projection.time_model import TimeModel
    from profiler.tally import Profile


_LATENCY = "one pass of each stage, one after another; a stage that generates text counts up to its first token"


@dataclass(frozen=True, slots=True)
class CountedStage:
    """A stage with its device and the profile of the pass that it repeats."""

    spec: Stage
    #: One pass; of a stage that generates text, one decoding step.
    profile: Profile
    device: Device
    precision: str | None = None
    #: Of a stage that generates text: the pass over the prompt.
    prefill: Profile | None = None
    #: Key-value cache that a decoding step reads beside the weights. The operators of *profile* read it too, and its
    #: traced peak holds it.
    cache_bytes: int = 0
    mode: Mode | None = None
    model: TimeModel | None = None


@dataclass(frozen=True, slots=True)
class StagePlan:
    """The requirements and times of a stage on its device."""

    name: str
    target: str
    device: str
    precision: str
    #: Passes or tokens per second.
    rate: Figure
    #: Operations of one pass.
    ops: Figure
    required_tops: Figure
    bound_s: Figure
    estimate_s: Figure
    #: Time to the first token, of a stage that generates text.
    first_bound_s: Figure | None
    first_s: Figure | None
    #: Of a stage that generates text: upper bound of its rate, and the batch size from which compute is the limit.
    tokens_per_s_bound: Figure | None
    critical_batch: Figure | None
    #: Bytes.
    memory: Figure
    #: Fraction of the device's time that the stage takes: rate × estimate.
    load: Figure


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """The sums over all stages of a device."""

    device: str
    required_tops: Figure
    load: Figure
    #: Bytes.
    memory: Figure
    memory_share: Figure | None

    @property
    def fits(self) -> bool:
        """Whether the device sustains the load and has the memory."""
        return float(self.load.value) <= 1 and (self.memory_share is None or float(self.memory_share.value) <= 1)


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """A pipeline on its devices."""

    name: str
    stages: tuple[StagePlan, ...]
    devices: tuple[DevicePlan, ...]
    #: One pass of each stage, one after another; a stage that generates text counts up to its first token.
    latency_bound_s: Figure
    latency_s: Figure
    #: The factor by which all rates could grow.
    headroom: Figure

    @property
    def fits(self) -> bool:
        """Whether every device sustains its stages and has the memory for them."""
        return all(device.fits for device in self.devices)


def plan_pipeline(name: str, stages: list[CountedStage], utilisation: float | None = None) -> PipelinePlan:
    """Plan a pipeline: the load and memory of each device, the latency, and the headroom.

    Args:
        name: Name of the pipeline.
        stages: Its stages in order, each with its profile and its device.
        utilisation: Fraction of the peak that the required TOPS assume, in (0, 1]; by default that of the estimate.

    Raises:
        DeviceError: A device has no rate in a stage's precision.
        PlanError: The utilisation is out of range.
    """
    demand = Demand(None, utilisation)
    rows = [_plan_stage(stage, demand) for stage in stages]
    groups: dict[str, tuple[Device, list[StagePlan]]] = {}
    for stage, row in zip(stages, rows, strict=True):
        groups.setdefault(stage.device.id, (stage.device, []))[1].append(row)
    devices = tuple(_plan_device(device, members) for device, members in groups.values())
    busiest = max(float(device.load.value) for device in devices)
    latency_bound_s = math.fsum(_value(row.first_bound_s or row.bound_s) for row in rows)
    latency_s = math.fsum(_value(row.first_s or row.estimate_s) for row in rows)
    return PipelinePlan(
        name=name,
        stages=tuple(rows),
        devices=devices,
        latency_bound_s=Figure(latency_bound_s, "bound", _LATENCY),
        latency_s=Figure(latency_s, "estimate", _LATENCY),
        headroom=Figure(1 / busiest, "estimate", f"1 ÷ the load of the busiest device, {busiest:.3g}"),
    )


def _plan_stage(stage: CountedStage, demand: Demand) -> StagePlan:
    device_pass, spec = _device_pass(stage, stage.profile), stage.spec
    bound, estimate_s = device_pass.bound, device_pass.estimate.seconds
    bound_s = max(bound.compute_s, bound.memory_s + _cache_s(stage))
    pass_s = max(estimate_s, bound_s)
    rate, ops, utilisation = spec.passes_per_s, stage.profile.totals.flops, demand.utilisation_of(device_pass)
    tops = ops * rate / utilisation / 1e12 if utilisation else 0.0
    needed = memory_needed(stage.profile, device_pass.scheme)
    prefill = None if stage.prefill is None else _device_pass(stage, stage.prefill)
    return StagePlan(
        name=spec.name,
        target=spec.target,
        device=stage.device.id,
        precision=device_pass.scheme.name,
        rate=Figure(rate, "bound", "tokens per second" if spec.tokens_per_s else "passes per second"),
        ops=Figure(ops, "bound", "counted, one pass"),
        required_tops=Figure(tops, "estimate", f"{ops:,} × {rate:.4g}/s ÷ {utilisation:.3g}"),
        bound_s=Figure(bound_s, "bound", bound.limit),
        estimate_s=Figure(pass_s, "estimate", device_pass.model.source),
        first_bound_s=None if prefill is None else Figure(prefill.bound.seconds, "bound", "reading the prompt"),
        first_s=None if prefill is None else Figure(prefill.estimate.seconds, "estimate", "reading the prompt"),
        **_decoding_figures(stage, device_pass),
        memory=_stage_memory(stage, needed),
        load=Figure(rate * pass_s, "estimate", f"rate × {units.seconds(pass_s)}"),
    )


def _stage_memory(stage: CountedStage, needed: Figure) -> Figure:
    """Return the memory of a stage: the traced peak of a decoding step holds the key-value cache, a bound does not."""
    traced = bool(stage.profile.totals.peak_memory.get("total"))
    return needed if traced else Figure(int(needed.value) + stage.cache_bytes, needed.kind, needed.source)


def _decoding_figures(stage: CountedStage, device_pass: DevicePass) -> dict[str, Figure | None]:
    """Return the bounds of decoding; None each if the stage generates no text, or if the bandwidth is unknown."""
    figures: dict[str, Figure | None] = {"tokens_per_s_bound": None, "critical_batch": None}
    bandwidth, batch = stage.device.bandwidth_bytes_per_s, stage.spec.batch or 1
    if stage.prefill is None or bandwidth is None:
        return figures
    ops, cache_bytes = stage.profile.totals.flops // batch, stage.cache_bytes // batch
    step = DecodeStep(device_pass.compulsory_bytes, cache_bytes, ops, device_pass.peak_ops_per_s, bandwidth)
    source = (
        f"{step.weight_bytes:,} bytes of weights a step, {cache_bytes:,} of cache and {ops:,} operations a sequence"
    )
    figures["tokens_per_s_bound"] = Figure(step.tokens_per_s(batch), "bound", source)
    if math.isfinite(step.critical_batch):
        figures["critical_batch"] = Figure(step.critical_batch, "bound", source)
    return figures


def _device_pass(stage: CountedStage, profile: Profile) -> DevicePass:
    scheme = choose_precision(profile, stage.device, stage.precision)
    return DevicePass.of(ProfileWork(profile), stage.device, scheme, mode=stage.mode, model=stage.model)


def _cache_s(stage: CountedStage) -> float:
    """Return the time to read the key-value cache once."""
    bandwidth = stage.device.bandwidth_bytes_per_s
    return stage.cache_bytes / bandwidth if bandwidth else 0.0


def _plan_device(device: Device, rows: list[StagePlan]) -> DevicePlan:
    memory_bytes = sum(int(row.memory.value) for row in rows)
    usable = usable_bytes(device)
    names = " + ".join(row.name for row in rows)
    return DevicePlan(
        device=device.id,
        required_tops=Figure(math.fsum(_value(row.required_tops) for row in rows), "estimate", names),
        load=Figure(math.fsum(_value(row.load) for row in rows), "estimate", names),
        memory=Figure(memory_bytes, "estimate", f"{names}, all at once; a model that two stages use counts twice"),
        memory_share=None if usable is None else Figure(memory_bytes / usable, "estimate", device.cite("memory")),
    )


def _value(figure: Figure) -> float:
    return float(figure.value)
