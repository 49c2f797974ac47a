"""Pipeline plans as text, Markdown, CSV and JSON: the stages, the devices, and the whole pipeline."""

from __future__ import annotations

import json
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import markdown as markdown_text
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import WIDTH, table

if TYPE_CHECKING:
    from profiler.projection.pipeline_plan import DevicePlan, PipelinePlan, StagePlan
    from profiler.report.tables import Side
    from profiler.values.projection import Figure

_STAGE_COLUMNS: dict[str, Side] = {
    "stage": "left", "target": "left", "in": "left", "rate": "right", "TOPS": "right", "load": "right",
    "bound": "right", "estimate": "right",
}  # fmt: skip
_DEVICE_COLUMNS: dict[str, Side] = {
    "device": "left", "TOPS": "right", "load": "right", "memory": "right", "used": "right"
}  # fmt: skip


PIPELINE_FORMATS: Formats[PipelinePlan] = Formats()
_FIELDS = ("rate", "required_tops", "load", "bound_s", "estimate_s")


@PIPELINE_FORMATS.register("json")
def to_json(plan: PipelinePlan) -> str:
    """Write every figure with its kind and source."""
    return json.dumps({"plan": asdict(plan) | {"fits": plan.fits}}, indent=1) + "\n"


@PIPELINE_FORMATS.register("csv")
def to_csv(plan: PipelinePlan) -> str:
    """Write a line a stage."""
    rows = [
        (stage.name, stage.target, stage.precision, *(getattr(stage, name).value for name in _FIELDS))
        for stage in plan.stages
    ]
    return csv_table(("stage", "target", "precision", *_FIELDS), rows)


@PIPELINE_FORMATS.register("markdown")
def to_markdown(plan: PipelinePlan) -> str:
    """Write the stages, the devices, and what follows for the whole."""
    decoding = [line for stage in plan.stages if stage.first_s is not None for line in _decoding_lines(stage)]
    lines = [*decoding, *_summary_lines(plan), _verdict(plan)]
    return page(
        f"# {markdown_text(plan.name)}",
        markdown_table(_STAGE_COLUMNS, map(_stage_row, plan.stages)),
        markdown_table(_DEVICE_COLUMNS, map(_device_row, plan.devices)),
        "\n".join(f"- {markdown_text(' '.join(line.split()))}" for line in lines),
    )


@PIPELINE_FORMATS.register("text")
def text(plan: PipelinePlan) -> str:
    """Format a plan."""
    lines = [
        plan.name,
        "",
        table(_STAGE_COLUMNS, [_stage_row(stage) for stage in plan.stages]),
        "",
        table(_DEVICE_COLUMNS, [_device_row(device) for device in plan.devices]),
        "",
        *(line for stage in plan.stages if stage.first_s is not None for line in _decoding_lines(stage)),
        *map(_wrapped, _summary_lines(plan)),
        "",
        _verdict(plan),
    ]
    return "\n".join(lines) + "\n"


def _verdict(plan: PipelinePlan) -> str:
    return "It fits." if plan.fits else "It does not fit: the load or the memory of a device is above 100 %."


def _summary_lines(plan: PipelinePlan) -> tuple[str, ...]:
    latency = f"{_time(plan.latency_s)} (estimate), {_time(plan.latency_bound_s)} (bound)"
    headroom = f"{units.rounded(float(plan.headroom.value))}× (estimate)"
    return (
        f"latency   {latency}: {plan.latency_s.source}",
        f"headroom  {headroom}: {plan.headroom.source}",
        f"estimate  {plan.stages[0].estimate_s.source}",
    )


def _wrapped(line: str) -> str:
    return fill(line, WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False)


def _stage_row(stage: StagePlan) -> tuple[str, ...]:
    return (
        stage.name,
        stage.target,
        stage.precision,
        f"{units.rounded(float(stage.rate.value))}/s",
        units.rounded(float(stage.required_tops.value)),
        _percent(stage.load),
        _time(stage.bound_s),
        _time(stage.estimate_s),
    )


def _device_row(device: DevicePlan) -> tuple[str, ...]:
    tops = units.rounded(float(device.required_tops.value))
    share = _percent(device.memory_share) if device.memory_share is not None else ""
    return (device.device, tops, _percent(device.load), units.size(int(device.memory.value)), share)


def _decoding_lines(stage: StagePlan) -> list[str]:
    """Format the figures of a stage that generates text."""
    first = [_time(figure) for figure in (stage.first_s, stage.first_bound_s) if figure is not None]
    lines = [f"{stage.name}: first token after {' (estimate), '.join(first)} (bound)"]
    if stage.tokens_per_s_bound is not None:
        lines.append(f"{stage.name}: at most {units.rounded(float(stage.tokens_per_s_bound.value))} tokens/s (bound)")
    if stage.critical_batch is not None:
        batch = units.rounded(float(stage.critical_batch.value))
        lines.append(f"{stage.name}: compute is the limit from a batch of {batch} on (bound)")
    return lines


def _percent(figure: Figure) -> str:
    return f"{100 * float(figure.value):.1f} %"


def _time(figure: Figure) -> str:
    return units.seconds(float(figure.value))
