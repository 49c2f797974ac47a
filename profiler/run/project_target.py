"""Project the profile of a target onto a device; on request, also time the model here and find the largest batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from profiler.projection import project
from profiler.projection.amounts import require_amount
from profiler.projection.device_memory import largest_batch, memory_needed, usable_bytes
from profiler.projection.precision import choose_precision
from profiler.projection.this_machine import find_device_and_model
from profiler.projection.time_table_files import read_time_table
from profiler.projection.training_plan import TrainingPlan
from profiler.run.count_target import count_target
from profiler.run.measure import measure
from profiler.targets import build_with_inputs
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.run.runner import Run
    from profiler.tally import Profile
    from profiler.values.projection import Projection


@dataclass(frozen=True, slots=True)
class ProjectionRequest:
    """The device of a projection, and the figures to compute."""

    #: Name of a device, of a TOML file, or ``local`` for this machine.
    device: str
    precision: str | None = None
    fps: float | None = None
    utilisation: float | None = None
    mode: Mode | None = None
    #: Passes per second that were measured elsewhere.
    rate: float | None = None
    #: A file of a time table; None for the table of the package.
    efficiency: Path | None = None
    training: TrainingPlan = field(default_factory=TrainingPlan)
    #: Time the model on this machine; the device must then be ``local`` or ``local:cuda``.
    measure: bool = False
    largest_batch: bool = False


def project_target(
    profile: Profile,
    request: ProjectionRequest,
    target: str,
    specs: Sequence[str] = (),
    *,
    batch: int | None = None,
    dtype: str | None = None,
    run: Run | None = None,
) -> Projection:
    """Return the projection of *profile*, which was counted from *target* with the same arguments.

    Args:
        profile: The profile to project.
        request: The device, and the figures to compute.
        target: The target of the profile, which is run again to measure it or to find the largest batch.
        specs: Its input specifications.
        batch: Its batch size.
        dtype: Its dtype.
        run: What was run of it; None for a forward pass.

    Raises:
        ProfilerError: The device or the precision is unknown, a number is out of range, or the model raised.

    Example:
        >>> profile = count_target("resnet18")
        >>> projection = project_target(profile, ProjectionRequest("l4", precision="fp16"), "resnet18")
        >>> projection.limit.value, projection.fits
        ('launches', True)
    """
    device, measured = find_device_and_model(request.device)
    table = None if request.efficiency is None else read_time_table(request.efficiency)
    projection = project(
        profile,
        device,
        precision=request.precision,
        fps=request.fps,
        utilisation=request.utilisation,
        mode=request.mode or (table.mode if table else None),
        model=table or measured,
        training=request.training,
    )
    if request.measure:
        torch_device = request.device.partition(":")[2] or "cpu"
        model, args, kwargs = build_with_inputs(target, specs, batch=batch, dtype=dtype, device=torch_device)
        projection = add_measurement(projection, model, args, kwargs)
    if request.rate is not None:
        projection = add_measured_rate(projection, profile, request.rate)
    if request.largest_batch:

        def count(batch: int) -> Profile:
            return count_target(target, specs=specs, batch=batch, dtype=dtype, device="meta", run=run)

        projection = replace(projection, largest_batch=find_largest_batch(count, device, request.precision))
    return projection


def add_measurement(
    projection: Projection, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Projection:
    """Time *model* on this machine, and return *projection* with the time and its ratio to the bound."""
    with torch.inference_mode():
        measurement = measure(model, *args, **kwargs)
    rates = f"{measurement.flops_per_s / 1e9:.4g} GFLOP/s, {measurement.bytes_per_s / 1e9:.4g} GB/s"
    measured_s = replace(measurement.figure, source=f"{measurement.figure.source}: {rates}")
    ratio = measurement.share_of(float(projection.bound_s.value))
    share = Figure(ratio, "measured", "bound ÷ measured: 1 is the bound itself")
    return replace(projection, measured_s=measured_s, share_of_bound=share)


def add_measured_rate(projection: Projection, profile: Profile, rate: float) -> Projection:
    """Return *projection* with what a measured rate of passes achieves: operations per second, and MFU and HFU.

    Raises:
        PlanError: The rate is not positive.
    """
    require_amount(rate, "a measured rate of {} passes per second")
    source, peak = f"at {rate:g} passes per second, as given", float(projection.peak_ops_per_s.value)
    training = projection.training
    if training is not None:
        mfu, hfu = (float(flops.value) * rate / peak for flops in (training.model_flops, training.hardware_flops))
        training = replace(
            training,
            measured_mfu=Figure(mfu, "measured", f"model FLOPs {source}"),
            measured_hfu=Figure(hfu, "measured", f"hardware FLOPs {source}"),
        )
    return replace(
        projection,
        measured_s=Figure(1 / rate, "measured", source),
        share_of_bound=Figure(
            float(projection.bound_s.value) * rate, "measured", "bound ÷ measured: 1 is the bound itself"
        ),
        achieved_ops_per_s=Figure(profile.totals.flops * rate, "measured", source),
        training=training,
    )


def find_largest_batch(count: Callable[[int], Profile], device: Device, precision: str | None) -> Figure | None:
    """Return the largest batch that fits the usable memory of a device; None if its memory is unknown.

    Args:
        count: Returns the profile of the model at a batch size.
        device: The device.
        precision: As for ``project``.

    Raises:
        PlanError: The memory does not grow with the batch.
    """
    usable = usable_bytes(device)
    if usable is None:
        return None

    @cache
    def needed(batch: int) -> Figure:
        profile = count(batch)
        return memory_needed(profile, choose_precision(profile, device, precision))

    batch = largest_batch(lambda batch: int(needed(batch).value), usable)
    return Figure(batch, "estimate", f"counted on meta; {needed(1).source}")
