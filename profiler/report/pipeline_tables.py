"""A plan as text: its stages, its devices, and the whole."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

from profiler import units
from profiler.report.tables import WIDTH, table

if TYPE_CHECKING:
    from profiler.projection.pipeline_plan import DevicePlan, Plan, StagePlan
    from profiler.report.tables import Side
    from profiler.values.projection import Figure

_STAGES: dict[str, Side] = {
    "stage": "left", "target": "left", "in": "left", "rate": "right", "TOPS": "right", "load": "right",
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
        *(line for stage in plan.stages if stage.first_s is not None for line in _generating(stage)),
        *map(_wrapped, _whole(plan)),
        "",
        "It fits." if plan.fits else "It does not fit: a load or a share of memory is above 100 %.",
    ]
    return "\n".join(lines) + "\n"


def _whole(plan: Plan) -> tuple[str, ...]:
    latency = f"{_time(plan.latency_s)} (estimate), {_time(plan.latency_bound_s)} (bound)"
    headroom = f"{units.rounded(float(plan.headroom.value))}× (estimate)"
    return (
        f"latency   {latency}: {plan.latency_s.source}",
        f"headroom  {headroom}: {plan.headroom.source}",
        f"estimate  {plan.stages[0].estimate_s.source}",
    )


def _wrapped(line: str) -> str:
    return fill(line, WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)


def _stage(stage: StagePlan) -> tuple[str, ...]:
    return (
        stage.name,
        stage.target,
        stage.precision,
        f"{units.rounded(float(stage.rate.value))}/s",
        units.rounded(float(stage.required_tops.value)),
        _share(stage.load),
        _time(stage.bound_s),
        _time(stage.estimate_s),
    )


def _device(device: DevicePlan) -> tuple[str, ...]:
    tops = units.rounded(float(device.required_tops.value))
    held = _share(device.memory_share) if device.memory_share is not None else ""
    return (device.device, tops, _share(device.load), units.size(int(device.memory.value)), held)


def _generating(stage: StagePlan) -> list[str]:
    """Write what is said of a stage that makes tokens."""
    first = [_time(figure) for figure in (stage.first_s, stage.first_bound_s) if figure is not None]
    lines = [f"{stage.name}: first token after {' (estimate), '.join(first)} (bound)"]
    if stage.tokens_per_s_bound is not None:
        lines.append(f"{stage.name}: at most {units.rounded(float(stage.tokens_per_s_bound.value))} tokens/s (bound)")
    if stage.critical_batch is not None:
        batch = units.rounded(float(stage.critical_batch.value))
        lines.append(f"{stage.name}: compute is the limit from a batch of {batch} on (bound)")
    return lines


def _share(figure: Figure) -> str:
    return f"{100 * float(figure.value):.1f} %"


def _time(figure: Figure) -> str:
    return units.seconds(float(figure.value))
