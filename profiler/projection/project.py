"""``project()``: a profile on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.errors import DeviceError, PlanError
from profiler.projection.device_memory import USABLE, memory_needed, smallest_device, usable_bytes
from profiler.projection.efficiency import MEMORY, UTILISATION, UTILISATION_SOURCE, Efficiency, FixedEfficiency
from profiler.projection.precision import WHAT_IFS, PrecisionScheme, choose, falling_back, parse
from profiler.projection.roofline import Bound, bound, operator_bounds
from profiler.projection.training_plan import TrainingPlan, training_figures
from profiler.projection.work import Work, compulsory_bytes, weight_bytes, work_of
from profiler.values.projection import Figure, Projection, WhatIf

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.tally import Profile


@dataclass(frozen=True, slots=True)
class Demand:
    """How often a pass is to run, and how much of the peak may be planned with.

    Raises:
        PlanError: A rate is not positive, or a share is not within 0 and 1.
    """

    fps: float | None = None
    utilisation: float = UTILISATION

    def __post_init__(self) -> None:
        """Refuse what is no rate and no share."""
        if self.fps is not None and not (0 < self.fps < math.inf):
            msg = f"a rate of {self.fps:g} passes a second cannot be planned; write a number above 0"
            raise PlanError(msg)
        if not 0 < self.utilisation <= 1:
            msg = f"a utilisation of {self.utilisation:g} is no share; write a number above 0 and at most 1"
            raise PlanError(msg)


@dataclass(frozen=True, slots=True)
class DevicePass:
    """One pass in a scheme, on a device: the numbers that figures are made of."""

    profile: Profile
    device: Device
    scheme: PrecisionScheme
    works: tuple[Work, ...]
    compulsory_bytes: int
    bound: Bound
    estimate_s: float

    @classmethod
    def of(cls, profile: Profile, device: Device, scheme: PrecisionScheme, efficiency: Efficiency) -> DevicePass:
        """Work a pass out."""
        works = tuple(work_of(profile, scheme))
        compulsory = compulsory_bytes(profile, scheme)
        estimate = math.fsum(work.calls * efficiency.seconds(work, device) for work in works)
        lowest = bound(works, compulsory, device)
        return cls(profile, device, scheme, works, compulsory, lowest, max(estimate, lowest.seconds))

    @property
    def peak(self) -> float:
        """The dense peak of the precision that it computes in."""
        return self.device.peak(self.scheme.compute)

    def sustained(self, utilisation: float) -> Bound:
        """Give the seconds of a pass at a share of the peak, and of the bandwidth."""
        compute = self.profile.totals.flops / (self.peak * utilisation)
        bandwidth = self.device.bandwidth_bytes_per_s
        return Bound(compute, self.compulsory_bytes / (bandwidth * float(MEMORY.value)) if bandwidth else 0.0)


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
    """Say what one pass of a profile takes on a device, and what *fps* passes a second demand of it.

    Without a precision it is the one in which the model does most of its work. Required TOPS are the operations a
    second over the utilisation: what the device's sheet has to promise.

    A profile of a training step gets the figures of training, and those of a whole *training* run if one is given.

    Raises:
        UnknownNameError: There is no such precision.
        DeviceError: The device lacks it.
        PlanError: The rate or the utilisation is none.
    """
    demand, efficiency = Demand(fps, utilisation), efficiency or FixedEfficiency()
    run = DevicePass.of(profile, device, choose(profile, device, precision), efficiency)
    sustained = run.sustained(utilisation)
    if not sustained.seconds:
        msg = f"{profile.model} does no work that {device.id} has a rate for: there is nothing to project"
        raise PlanError(msg)
    memory = memory_needed(profile, run.scheme)
    usable = usable_bytes(device)
    return Projection(
        device=Figure(device.id, "bound", f"{device.name}; {'; '.join(source.title for source in device.sources)}"),
        precision=_precision(run, precision),
        limit=Figure(sustained.limit, "estimate", _limit_source(run, sustained)),
        bound_s=Figure(run.bound.seconds, "bound", _bound_source(run)),
        estimate_s=Figure(run.estimate_s, "estimate", efficiency.stated),
        utilisation=Figure(
            utilisation, "estimate", UTILISATION_SOURCE if utilisation == UTILISATION else "as asked for"
        ),
        max_fps=Figure(1 / sustained.seconds, "estimate", f"at a utilisation of {utilisation:g}, one pass at a time"),
        memory=memory,
        peak_ops_per_s=Figure(run.peak, "bound", device.cite(run.scheme.compute)),
        bandwidth_bytes_per_s=_bandwidth(device),
        memory_share=None
        if usable is None
        else Figure(int(memory.value) / usable, memory.kind, _usable_source(device)),
        smallest_device=smallest_device(int(memory.value), run.scheme),
        energy_j=_energy(run),
        operators=operator_bounds(run.works, device, efficiency),
        what_if=what_if(profile, device, efficiency),
        training=training_figures(profile, run.estimate_s, run.peak, utilisation, training or TrainingPlan()),
        notes=_notes(run),
        **_demanded(run, sustained, demand),
    )


def what_if(profile: Profile, device: Device, efficiency: Efficiency | None = None) -> tuple[WhatIf, ...]:
    """Work the same pass out in every precision, each computed in the nearest that the device has."""
    rows = []
    for name in WHAT_IFS:
        try:
            scheme = falling_back(parse(name), device)
        except DeviceError:
            continue
        rows.append(_what_if(DevicePass.of(profile, device, scheme, efficiency or FixedEfficiency())))
    return tuple(rows)


def _what_if(run: DevicePass) -> WhatIf:
    stored = f"every parameter in {run.scheme.weights}"
    extra = "; activations are quantised by operators of their own" if run.scheme.quantises else ""
    return WhatIf(
        precision=run.scheme.name,
        computes_in=run.scheme.compute,
        weight_bytes=Figure(weight_bytes(run.profile, run.scheme), "bound", stored),
        bound_s=Figure(run.bound.seconds, "bound", _bound_source(run)),
        estimate_s=Figure(run.estimate_s, "estimate", f"stated shares of {run.device.cite(run.scheme.compute)}{extra}"),
    )


def _demanded(run: DevicePass, sustained: Bound, demand: Demand) -> dict[str, Figure]:
    """Give the figures that only a rate brings."""
    if demand.fps is None:
        return {}
    ops = run.profile.totals.flops * demand.fps
    shown = f"{run.profile.totals.flops:,} operations × {demand.fps:g}/s"
    share = f"{shown} ÷ {demand.utilisation:g}"
    return {
        "fps": Figure(demand.fps, "bound", "as asked for"),
        "required_ops_per_s": Figure(ops, "bound", shown),
        "required_tops": Figure(ops / demand.utilisation / 1e12, "estimate", share),
        "headroom": Figure(1 / (sustained.seconds * demand.fps), "estimate", "largest rate ÷ rate"),
    }


def _precision(run: DevicePass, asked: str | None) -> Figure:
    scheme = run.scheme
    how = "as asked for" if asked else "of most of the model's MACs"
    if scheme.compute != scheme.name:
        how += f"; {scheme.weights} weights, {scheme.activations} activations, computed in {scheme.compute}"
    return Figure(scheme.name, "bound", how)


def _bandwidth(device: Device) -> Figure | None:
    rate = device.bandwidth_bytes_per_s
    return None if rate is None else Figure(rate, "bound", device.cite("bandwidth"))


def _bound_source(run: DevicePass) -> str:
    compute = f"compute {run.bound.compute_s:.3g} s at {run.device.cite(run.scheme.compute)}"
    if run.device.bandwidth_bytes_per_s is None:
        return f"{compute}; the bandwidth is not known"
    memory = f"{run.compulsory_bytes:,} compulsory bytes {run.bound.memory_s:.3g} s at {run.device.cite('bandwidth')}"
    return f"larger of {compute} and {memory}"


def _limit_source(run: DevicePass, sustained: Bound) -> str:
    if run.device.bandwidth_bytes_per_s is None:
        return "the bandwidth is not known"
    return f"compute {sustained.compute_s:.3g} s, memory {sustained.memory_s:.3g} s a pass"


def _usable_source(device: Device) -> str:
    return f"of {USABLE:.1%} of {device.memory_gib:g} GiB ({device.cite('memory')})"


def _energy(run: DevicePass) -> Figure | None:
    """Take the device's rated power for as long as the estimate lasts."""
    power = run.device.power_w
    if power is None:
        return None
    return Figure(
        power * run.estimate_s, "estimate", f"{power:g} W for the whole estimate ({run.device.cite('power')})"
    )


def _notes(run: DevicePass) -> tuple[str, ...]:
    """List what the figures rest on, beside their own sources."""
    device = run.device
    notes = [f"{device.id}: {device.note}"] if device.note else []
    if device.confidence == "low":
        notes.append(f"{device.id}: its figures are of low confidence")
    if device.int8_engines and run.scheme.compute == "int8":
        efficiency = ", ".join(f"{name} {rate / 1e12:g}" for name, rate in device.int8_engines.items())
        notes.append(f"{device.id}: the int8 peak is shared by {efficiency} TOPS")
    if not run.profile.is_complete:
        notes.append("some operators are not counted: every demand is a lower bound")
    return tuple(notes)
