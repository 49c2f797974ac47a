"""``project()``: project a profile onto a device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.errors import PlanError
from profiler.projection.demand import Demand
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.other_precisions import what_if
from profiler.projection.pass_figures import (
    bandwidth_figure,
    bound_source,
    demand_figures,
    energy_figure,
    memory_figures,
    precision_figure,
    projection_notes,
    time_figures,
)
from profiler.projection.precision import choose_precision
from profiler.projection.roofline import operator_bounds
from profiler.projection.training_plan import TrainingPlan, training_figures
from profiler.values.projection import Figure, Projection

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
        precision=precision_figure(device_pass, precision),
        mode=Figure(device_pass.mode, "estimate", "as given" if mode else "the default of the device and precision"),
        bound_s=Figure(device_pass.bound.seconds, "bound", bound_source(device_pass)),
        **time_figures(device_pass),
        **demand_figures(device_pass, demand),
        **memory_figures(device_pass),
        peak_ops_per_s=Figure(device_pass.peak_ops_per_s, "bound", device.cite(scheme.compute)),
        bandwidth_bytes_per_s=bandwidth_figure(device),
        energy_j=energy_figure(device_pass),
        time_shares=device_pass.estimate.shares,
        notes=projection_notes(device_pass),
    )
    return projection, device_pass
