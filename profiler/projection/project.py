"""``project()``: project a profile onto a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.devices import find_device
from profiler.errors import DeviceError, PlanError
from profiler.projection.demand import Demand
from profiler.projection.device_memory import USABLE, memory_needed, usable_bytes
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.precision import WHAT_IFS, choose_precision, fall_back, parse_precision
from profiler.projection.roofline import operator_bounds
from profiler.projection.training_plan import TrainingPlan, training_figures
from profiler.projection.work import weight_bytes
from profiler.values.projection import Figure, Projection, WhatIf

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.projection.time_model import TimeModel
    from profiler.tally import Profile


def project(
    profile: Profile,
    device: Device | str,
    *,
    precision: str | None = None,
    mode: Mode | None = None,
    fps: float | None = None,
    utilisation: float | None = None,
    model: TimeModel | None = None,
    training: TrainingPlan | None = None,
) -> Projection:
    """Project one pass of a profile onto a device.

    There is one estimate of the time of a pass: the largest rate, the headroom, the limit, training days and energy
    follow from it. Required TOPS are operations × *fps* ÷ *utilisation*: the peak rate that the device's data sheet has
    to promise.

    Args:
        profile: A profile of a forward pass, or of a training step.
        device: A device of the catalogue or its name, or your own.
        precision: Such as ``"fp16"``, ``"int8"`` or ``"int8-weights"``; by default that of most of the model's MACs.
        mode: How the model runs: ``"eager"``, ``"channels_last"`` (eager in that memory format), ``"compiled"``
            (``torch.compile``) or ``"deployed"`` (an inference engine). By default eager; deployed on an NPU, and where
            activations are quantised.
        fps: Passes per second that the device has to sustain.
        utilisation: Fraction of the peak that the required TOPS assume, in (0, 1]; by default that of the estimate.
        model: How times are estimated; by default by the time table of the kind of device and the mode.
        training: The training run that the profiled step belongs to, for figures such as days and devices.

    Returns:
        The figures, each with its kind ("bound", "estimate" or "measured") and its source.

    Raises:
        UnknownNameError: There is no such device, or no such precision.
        DeviceError: The device has no rate in the precision.
        PlanError: The rate or the utilisation is out of range, or the profile has no work.

    Example:
        >>> import profiler, torch
        >>> model = torch.nn.Linear(4096, 4096, device="meta")
        >>> profile = profiler.count(model, torch.empty(64, 4096, device="meta"))
        >>> projection = project(profile, "l4", precision="fp16", fps=30)
        >>> projection.limit.value, f"{projection.bound_s.value:.3g}"
        ('bandwidth', '0.000115')
    """
    target = find_device(device) if isinstance(device, str) else device
    work, demand = ProfileWork(profile), Demand(fps, utilisation)
    projection, own = project_pass(work, target, demand, precision=precision, mode=mode, model=model)
    return replace(
        projection,
        operators=operator_bounds(own.works, target, own.model, own.estimate.seconds),
        entry_s=own.entry_seconds,
        what_if=what_if(work, target, mode=own.mode, model=model, own=own),
        training=training_figures(own, utilisation, training or TrainingPlan()),
    )


def project_pass(
    work: ProfileWork,
    device: Device,
    demand: Demand,
    *,
    precision: str | None = None,
    mode: Mode | None = None,
    model: TimeModel | None = None,
) -> tuple[Projection, DevicePass]:
    """Return the projection of a pass without its tables, and the pass; arguments and errors as for `project`."""
    profile = work.profile
    scheme = choose_precision(profile, device, precision)
    device_pass = DevicePass.of(work, device, scheme, mode=mode, model=model)
    if not device_pass.estimate.seconds:
        msg = f"nothing to project: {profile.model} does no work for which {device.id} has a rate"
        raise PlanError(msg)
    projection = Projection(
        device=Figure(device.id, "bound", f"{device.name}; {'; '.join(source.title for source in device.sources)}"),
        precision=_precision(device_pass, precision),
        mode=Figure(device_pass.mode, "estimate", "as given" if mode else "the default of the device and precision"),
        bound_s=Figure(device_pass.bound.seconds, "bound", _bound_source(device_pass)),
        **_time_figures(device_pass),
        **_demand_figures(device_pass, demand),
        **_memory_figures(device_pass),
        peak_ops_per_s=Figure(device_pass.peak_ops_per_s, "bound", device.cite(scheme.compute)),
        bandwidth_bytes_per_s=_bandwidth(device),
        energy_j=_energy(device_pass),
        time_shares=device_pass.estimate.shares,
        notes=_notes(device_pass),
    )
    return projection, device_pass


def what_if(
    work: ProfileWork,
    device: Device,
    *,
    mode: Mode | None = None,
    model: TimeModel | None = None,
    own: DevicePass | None = None,
) -> tuple[WhatIf, ...]:
    """Project the same pass in several precisions, each computed in the nearest one that the device has.

    Args:
        work: The work of the profile.
        device: The device.
        mode: As for ``project``.
        model: As for ``project``.
        own: The pass in its own precision, which is the row of that precision.
    """
    rows = []
    for name in WHAT_IFS:
        if own is not None and own.scheme.name == name:
            rows.append(_what_if(own))
            continue
        try:
            scheme = fall_back(parse_precision(name), device)
        except DeviceError:
            continue
        rows.append(_what_if(DevicePass.of(work, device, scheme, mode=mode, model=model)))
    return tuple(rows)


def _what_if(device_pass: DevicePass) -> WhatIf:
    scheme = device_pass.scheme
    source: str = device_pass.mode
    if scheme.quantises and device_pass.mode != "deployed":
        source += "; activations are quantised by separate operators"
    stored = f"every parameter stored in {scheme.weights}" if scheme.converts else "the parameters as they are"
    return WhatIf(
        precision=scheme.name,
        computes_in=scheme.compute,
        weight_bytes=Figure(weight_bytes(device_pass.profile, scheme), "bound", stored),
        bound_s=Figure(device_pass.bound.seconds, "bound", _bound_source(device_pass)),
        estimate_s=Figure(device_pass.estimate.seconds, "estimate", source),
    )


def _time_figures(device_pass: DevicePass) -> dict[str, Any]:
    """Return the estimate, its range, and what follows from it without a required rate."""
    estimate, source = device_pass.estimate, device_pass.model.source
    held = "range that held 90 % of comparable measurements"
    return {
        "estimate_s": Figure(estimate.seconds, "estimate", source),
        "estimate_low_s": None if estimate.low_s is None else Figure(estimate.low_s, "estimate", held),
        "estimate_high_s": None if estimate.high_s is None else Figure(estimate.high_s, "estimate", held),
        "limit": Figure(estimate.limit, "estimate", _limit_source(device_pass)),
        "max_fps": Figure(1 / estimate.seconds, "estimate", "1 ÷ estimate: one pass at a time"),
    }


def _demand_figures(device_pass: DevicePass, demand: Demand) -> dict[str, Any]:
    """Return the utilisation, and the figures that depend on the required rate; none of these without a rate."""
    utilisation = demand.utilisation_of(device_pass)
    flops = device_pass.profile.totals.flops
    implied = f"{flops:,} operations ÷ (estimate × peak)"
    figures = {"utilisation": Figure(utilisation, "estimate", implied if demand.utilisation is None else "as given")}
    if demand.fps is None:
        return figures
    product = f"{flops:,} operations × {demand.fps:g}/s"
    tops = flops * demand.fps / utilisation / 1e12 if utilisation else 0.0
    return figures | {
        "fps": Figure(demand.fps, "bound", "as given"),
        "required_ops_per_s": Figure(flops * demand.fps, "bound", product),
        "required_tops": Figure(tops, "estimate", f"{product} ÷ {utilisation:.3g}"),
        "headroom": Figure(1 / (device_pass.estimate.seconds * demand.fps), "estimate", "1 ÷ (estimate × rate)"),
    }


def _memory_figures(device_pass: DevicePass) -> dict[str, Any]:
    device = device_pass.device
    memory, usable = memory_needed(device_pass.profile, device_pass.scheme), usable_bytes(device)
    source = f"of {USABLE:.1%} of {device.memory_gib:g} GiB" if usable else ""
    share = None if usable is None else Figure(int(memory.value) / usable, memory.kind, source)
    return {"memory": memory, "memory_share": share}


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
    compute = f"compute {units.seconds(bound.compute_s)}"
    if device.bandwidth_bytes_per_s is None:
        return f"{compute}; the bandwidth is not known"
    memory = f"{device_pass.compulsory_bytes:,} compulsory bytes {units.seconds(bound.memory_s)}"
    return f"larger of {compute} and {memory}"


def _limit_source(device_pass: DevicePass) -> str:
    """Return where most of the time goes: "61% of the estimate is memory traffic of pointwise operators"."""
    estimate = device_pass.estimate
    if not estimate.shares:
        return "the estimate is the bound"
    largest = estimate.shares[0]
    names = {"compute": "arithmetic", "bandwidth": "memory traffic", "launches": "the launching"}
    total = sum(share.seconds for share in estimate.shares)
    operators = "all operators" if largest.class_ == "all operators" else f"{largest.class_} operators"
    return f"{largest.seconds / total:.0%} of the estimate is {names[largest.resource]} of {operators}"


def _energy(device_pass: DevicePass) -> Figure | None:
    """Return the energy of a pass: the rated power of the device for the estimated time."""
    device = device_pass.device
    if device.power_w is None:
        return None
    source = f"{device.power_w:g} W for the whole estimate"
    return Figure(device.power_w * device_pass.estimate.seconds, "estimate", source)


def _notes(device_pass: DevicePass) -> tuple[str, ...]:
    """Return the caveats of a device and of a profile that apply to all figures."""
    device = device_pass.device
    notes = [f"{device.id}: {device.note}"] if device.note else []
    if device.confidence == "low":
        notes.append(f"{device.id}: its figures are of low confidence")
    if device.int8_engines and device_pass.scheme.compute == "int8":
        engines = ", ".join(f"{name} {rate / 1e12:g}" for name, rate in device.int8_engines.items())
        notes.append(f"{device.id}: the int8 peak is the sum of several engines, in TOPS: {engines}")
    notes += device_pass.estimate.caveats
    if not device_pass.profile.is_complete:
        notes.append("some operators are not counted, so every requirement is a lower bound")
    return tuple(notes)
