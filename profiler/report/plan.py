"""A plan as text: its stages, its devices, and the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler import units
from profiler.report.tables import table

if TYPE_CHECKING:
    from profiler.project.plan import DevicePlan, Plan, StagePlan
    from profiler.projection import Figure
    from profiler.report.tables import Side

_STAGES: dict[str, Side] = {
    "stage": "left", "target": "left", "in": "left", "rate": "right", "op": "right", "TOPS": "right", "load": "right",
    "bound": "right", "estimate": "right",
}  # fmt: skip
_DEVICES: dict[str, Side] = {"device": "left", "TOPS": "right", "load": "right", "memory": "right", "of it": "right"}


def text(plan: Plan) -> str:
    """Write a plan."""
    lines = [
        plan.name,
        "",
        table(_STAGES, [_stage(stage) for stage in plan.stages]),
        "",
        table(_DEVICES, [_device(device) for device in plan.devices]),
        "",
        *(_first(stage) for stage in plan.stages if stage.first_s is not None),
        f"latency   {_time(plan.latency_s)} (estimate), {_time(plan.latency_bound_s)} (bound): {plan.latency_s.source}",
        f"headroom  {units.rounded(float(plan.headroom.value))}× (estimate): {plan.headroom.source}",
        f"estimate  {plan.stages[0].estimate_s.source}",
        "",
        "It fits." if plan.fits else "It does not fit: a load or a share of memory is above 100 %.",
    ]
    return "\n".join(lines) + "\n"


def _stage(stage: StagePlan) -> tuple[str, ...]:
    return (
        stage.name,
        stage.target,
        stage.precision,
        f"{units.rounded(float(stage.rate.value))}/s",
        units.count(int(stage.ops.value)),
        units.rounded(float(stage.required_tops.value)),
        _share(stage.load),
        _time(stage.bound_s),
        _time(stage.estimate_s),
    )


def _device(device: DevicePlan) -> tuple[str, ...]:
    tops = units.rounded(float(device.required_tops.value))
    held = _share(device.memory_share) if device.memory_share is not None else ""
    return (device.device, tops, _share(device.load), units.size(int(device.memory.value)), held)


def _first(stage: StagePlan) -> str:
    first, bound = stage.first_s, stage.first_bound_s
    assert first is not None  # noqa: S101 - both are there, or neither
    assert bound is not None  # noqa: S101
    return f"{stage.name}: first token after {_time(first)} (estimate), {_time(bound)} (bound)"


def _share(figure: Figure) -> str:
    return f"{100 * float(figure.value):.1f} %"


def _time(figure: Figure) -> str:
    return units.seconds(float(figure.value))
