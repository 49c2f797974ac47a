"""``project()``: project a profile onto a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import DeviceError, PlanError
from profiler.projection.amounts import require_amount
from profiler.projection.device_memory import USABLE, memory_needed, smallest_device, usable_bytes
from profiler.projection.efficiency import MEMORY, UTILISATION, UTILISATION_SOURCE, Efficiency, FixedEfficiency
from profiler.projection.precision import WHAT_IFS, PrecisionScheme, choose_precision, fall_back, parse_precision
from profiler.projection.roofline import RooflineTime, operator_bounds, roofline_bound
from profiler.projection.training_plan import TrainingPlan, training_figures
from profiler.projection.work import Work, compulsory_bytes, operator_work, weight_bytes
from profiler.values.projection import Figure, Projection, WhatIf

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.tally import Profile

_LOWEST_UTILISATION = 1e-6


@dataclass(frozen=True, slots=True)
class Demand:
    """The required rate of passes, and the fraction of the peak that a plan may use.

    Raises:
        PlanError: The rate is not positive, or the utilisation is not within (0, 1].
    """

    fps: float | None = None
    utilisation: float = UTILISATION

    def __post_init__(self) -> None:
        """Validate both numbers."""
        if self.fps is not None:
            require_amount(self.fps, "a rate of {} passes per second")
        if not _LOWEST_UTILISATION <= self.utilisation <= 1:
            least = _LOWEST_UTILISATION
            msg = f"cannot plan with a utilisation of {self.utilisation:g}; write a number from {least:g} to 1"
            raise PlanError(msg)


@dataclass(frozen=True, slots=True)
class DevicePass:
    """One pass of a model on a device in a precision scheme: its work, its bound and its estimate."""

    profile: Profile
    device: Device
    scheme: PrecisionScheme
    works: tuple[Work, ...]
    compulsory_bytes: int
    bound: RooflineTime
    estimate_s: float

    @classmethod
    def of(cls, profile: Profile, device: Device, scheme: PrecisionScheme, efficiency: Efficiency) -> DevicePass:
        """Compute the bound and the estimate of a pass."""
        works = tuple(operator_work(profile, scheme))
        compulsory = compulsory_bytes(profile, scheme)
        bound = roofline_bound(works, compulsory, device)
        estimate_s = math.fsum(work.calls * efficiency.seconds(work, device) for work in works)
        return cls(profile, device, scheme, works, compulsory, bound, max(estimate_s, bound.seconds))

    @property
    def peak_ops_per_s(self) -> float:
        """The dense peak rate in the precision of the arithmetic."""
        return self.device.peak(self.scheme.compute)

    def sustained(self, utilisation: float) -> RooflineTime:
        """Return the times of a pass under sustained load: *utilisation* × peak, and a fraction of the bandwidth."""
        compute_s = self.profile.totals.flops / (self.peak_ops_per_s * utilisation)
        bandwidth = self.device.bandwidth_bytes_per_s
        return RooflineTime(compute_s, self.compulsory_bytes / (bandwidth * float(MEMORY.value)) if bandwidth else 0.0)


def project(
    profile: Profile,
    device: Device,
    *,
    precision: str | None = None,
    fps: float | None = None,
    utilisation: float = UTILISATION,
    efficiency: Efficiency | None = None,
    training: TrainingPlan | None = None,
) -> Projection:
    """Project one pass of a profile onto a device.

    Required TOPS are operations × *fps* ÷ *utilisation*: the peak rate that the device's data sheet has to promise.

    Args:
        profile: A profile of a forward pass, or of a training step.
        device: A device of the catalogue, or your own.
        precision: Such as ``"fp16"``, ``"int8"`` or ``"int8-weights"``; by default that of most of the model's MACs.
        fps: Passes per second that the device has to sustain.
        utilisation: Fraction of the peak that a sustained load may use, in (0, 1].
        efficiency: How times are estimated; by default from published efficiencies.
        training: The training run that the profiled step belongs to, for figures such as days and devices.

    Returns:
        The figures, each with its kind ("bound", "estimate" or "measured") and its source.

    Raises:
        UnknownNameError: There is no such precision.
        DeviceError: The device has no rate in the precision.
        PlanError: The rate or the utilisation is out of range, or the profile has no work.

    Example:
        >>> import profiler, torch
        >>> from profiler.devices import find_device
        >>> model = torch.nn.Linear(4096, 4096, device="meta")
        >>> profile = profiler.count(model, torch.empty(64, 4096, device="meta"))
        >>> projection = project(profile, find_device("l4"), precision="fp16", fps=30)
        >>> projection.limit.value, f"{projection.bound_s.value:.3g}", f"{projection.required_tops.value:.3g}"
        ('bandwidth', '0.000115', '0.215')
    """
    demand, efficiency = Demand(fps, utilisation), efficiency or FixedEfficiency()
    device_pass = DevicePass.of(profile, device, choose_precision(profile, device, precision), efficiency)
    sustained = device_pass.sustained(utilisation)
    if not sustained.seconds:
        msg = f"nothing to project: {profile.model} does no work for which {device.id} has a rate"
        raise PlanError(msg)
    memory = memory_needed(profile, device_pass.scheme)
    usable = usable_bytes(device)
    peak_ops_per_s = device_pass.peak_ops_per_s
    plan = training or TrainingPlan()
    return Projection(
        device=Figure(device.id, "bound", f"{device.name}; {'; '.join(source.title for source in device.sources)}"),
        precision=_precision(device_pass, precision),
        limit=Figure(sustained.limit, "estimate", _limit_source(device_pass, sustained)),
        bound_s=Figure(device_pass.bound.seconds, "bound", _bound_source(device_pass)),
        estimate_s=Figure(device_pass.estimate_s, "estimate", efficiency.source),
        utilisation=Figure(utilisation, "estimate", UTILISATION_SOURCE if utilisation == UTILISATION else "as given"),
        max_fps=Figure(1 / sustained.seconds, "estimate", f"at a utilisation of {utilisation:g}, one pass at a time"),
        memory=memory,
        peak_ops_per_s=Figure(peak_ops_per_s, "bound", device.cite(device_pass.scheme.compute)),
        bandwidth_bytes_per_s=_bandwidth(device),
        memory_share=None
        if usable is None
        else Figure(int(memory.value) / usable, memory.kind, _usable_source(device)),
        smallest_device=smallest_device(int(memory.value), device_pass.scheme),
        energy_j=_energy(device_pass),
        operators=operator_bounds(device_pass.works, device, efficiency),
        what_if=what_if(profile, device, efficiency),
        training=training_figures(profile, device_pass.estimate_s, peak_ops_per_s, utilisation, plan),
        notes=_notes(device_pass),
        **_rate_figures(device_pass, sustained, demand),
    )


def what_if(profile: Profile, device: Device, efficiency: Efficiency | None = None) -> tuple[WhatIf, ...]:
    """Project the same pass in several precisions, each computed in the nearest one that the device has."""
    rows = []
    for name in WHAT_IFS:
        try:
            scheme = fall_back(parse_precision(name), device)
        except DeviceError:
            continue
        rows.append(_what_if(DevicePass.of(profile, device, scheme, efficiency or FixedEfficiency())))
    return tuple(rows)


def _what_if(device_pass: DevicePass) -> WhatIf:
    scheme = device_pass.scheme
    source = f"assumed fractions of {device_pass.device.cite(scheme.compute)}"
    if scheme.quantises:
        source += "; activations are quantised by separate operators"
    return WhatIf(
        precision=scheme.name,
        computes_in=scheme.compute,
        weight_bytes=Figure(
            weight_bytes(device_pass.profile, scheme), "bound", f"every parameter stored in {scheme.weights}"
        ),
        bound_s=Figure(device_pass.bound.seconds, "bound", _bound_source(device_pass)),
        estimate_s=Figure(device_pass.estimate_s, "estimate", source),
    )


def _rate_figures(device_pass: DevicePass, sustained: RooflineTime, demand: Demand) -> dict[str, Figure]:
    """Return the figures that depend on the required rate; none without a rate."""
    if demand.fps is None:
        return {}
    flops = device_pass.profile.totals.flops
    ops_per_s = flops * demand.fps
    product = f"{flops:,} operations × {demand.fps:g}/s"
    return {
        "fps": Figure(demand.fps, "bound", "as given"),
        "required_ops_per_s": Figure(ops_per_s, "bound", product),
        "required_tops": Figure(
            ops_per_s / demand.utilisation / 1e12, "estimate", f"{product} ÷ {demand.utilisation:g}"
        ),
        "headroom": Figure(1 / (sustained.seconds * demand.fps), "estimate", "largest rate ÷ rate"),
    }


def _precision(device_pass: DevicePass, requested: str | None) -> Figure:
    scheme = device_pass.scheme
    source = "as given" if requested else "of most of the model's MACs"
    if scheme.compute != scheme.name:
        source += f"; {scheme.weights} weights, {scheme.activations} activations, computed in {scheme.compute}"
    return Figure(scheme.name, "bound", source)


def _bandwidth(device: Device) -> Figure | None:
    bandwidth = device.bandwidth_bytes_per_s
    return None if bandwidth is None else Figure(bandwidth, "bound", device.cite("bandwidth"))


def _bound_source(device_pass: DevicePass) -> str:
    device, bound = device_pass.device, device_pass.bound
    compute = f"compute {bound.compute_s:.3g} s at {device.cite(device_pass.scheme.compute)}"
    if device.bandwidth_bytes_per_s is None:
        return f"{compute}; the bandwidth is not known"
    memory = f"{device_pass.compulsory_bytes:,} compulsory bytes {bound.memory_s:.3g} s at {device.cite('bandwidth')}"
    return f"larger of {compute} and {memory}"


def _limit_source(device_pass: DevicePass, sustained: RooflineTime) -> str:
    if device_pass.device.bandwidth_bytes_per_s is None:
        return "the bandwidth is not known"
    return f"compute {sustained.compute_s:.3g} s, memory {sustained.memory_s:.3g} s per pass"


def _usable_source(device: Device) -> str:
    return f"of {USABLE:.1%} of {device.memory_gib:g} GiB ({device.cite('memory')})"


def _energy(device_pass: DevicePass) -> Figure | None:
    """Return the energy of a pass: the rated power of the device for the estimated time."""
    device = device_pass.device
    if device.power_w is None:
        return None
    source = f"{device.power_w:g} W for the whole estimate ({device.cite('power')})"
    return Figure(device.power_w * device_pass.estimate_s, "estimate", source)


def _notes(device_pass: DevicePass) -> tuple[str, ...]:
    """Return the caveats of a device and of a profile that apply to all figures."""
    device = device_pass.device
    notes = [f"{device.id}: {device.note}"] if device.note else []
    if device.confidence == "low":
        notes.append(f"{device.id}: its figures are of low confidence")
    if device.int8_engines and device_pass.scheme.compute == "int8":
        engines = ", ".join(f"{name} {rate / 1e12:g}" for name, rate in device.int8_engines.items())
        notes.append(f"{device.id}: the int8 peak is the sum of several engines, in TOPS: {engines}")
    if not device_pass.profile.is_complete:
        notes.append("some operators are not counted, so every requirement is a lower bound")
    return tuple(notes)
