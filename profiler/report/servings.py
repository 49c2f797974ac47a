"""Plans of a service as text, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import markdown as markdown_text
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.projection.serving import Service, ServingPlan
    from profiler.report.tables import Side
    from profiler.values.projection import Figure

_WIDTH = 120
_MEMORY: dict[str, Side] = {
    "device": "left", "in": "left", "weights": "right", "KV cache": "right", "workspace": "right", "free": "right",
    "users that fit": "right", "context that fits": "right",
}  # fmt: skip
_TIME: dict[str, Side] = {
    "device": "left", "first token": "right", "range": "right", "per token": "right", "range ": "right",
    "tokens/s each": "right", "tokens/s in all": "right", "per 10⁶ tokens": "right",
}  # fmt: skip


_LEGEND = "first token: of one user's context, none waiting; per token: a step of all users, halfway through"
_FIELDS = (
    "weights", "kv_cache", "workspace", "free", "largest_users", "longest_context", "first_token_s", "token_s",
    "tokens_per_s_per_user", "tokens_per_s", "price_per_million_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """A service, and its plan on each device."""

    target: str
    service: Service
    plans: Sequence[ServingPlan]

    @property
    def heading(self) -> str:
        """The service in one line."""
        service = self.service
        return (
            f"{self.target}: {service.users} users at once, {service.context:,} tokens of context and "
            f"{service.output_tokens:,} generated for each"
        )

    @property
    def notes(self) -> list[str]:
        """The notes of all plans, each once."""
        return list(dict.fromkeys(note for plan in self.plans for note in plan.notes))


SERVICE_FORMATS: Formats[ServiceReport] = Formats()


@SERVICE_FORMATS.register("text")
def to_text(report: ServiceReport) -> str:
    """Write what fits, and how fast it is."""
    parts = [
        report.heading,
        table(_MEMORY, [_memory_row(plan) for plan in report.plans], width=_WIDTH),
        table(_TIME, [_time_row(plan) for plan in report.plans], width=_WIDTH),
        _LEGEND,
        *report.notes,
    ]
    return "\n\n".join(parts) + "\n"


@SERVICE_FORMATS.register("markdown")
def to_markdown(report: ServiceReport) -> str:
    """Write the same as Markdown."""
    return page(
        markdown_text(report.heading),
        markdown_table(_MEMORY, map(_memory_row, report.plans)),
        markdown_table(_TIME, map(_time_row, report.plans)),
        _LEGEND,
        *map(markdown_text, report.notes),
    )


@SERVICE_FORMATS.register("csv")
def to_csv(report: ServiceReport) -> str:
    """Write a line a device, in bytes and seconds."""
    rows = [
        (plan.device, plan.precision, plan.fits, *(_value(getattr(plan, name)) for name in _FIELDS))
        for plan in report.plans
    ]
    return csv_table(("device", "precision", "fits", *_FIELDS), rows)


def _value(figure: Figure | None) -> object:
    return None if figure is None else figure.value


@SERVICE_FORMATS.register("json")
def to_json(report: ServiceReport) -> str:
    """Write every figure with its kind and source."""
    rows = [asdict(plan) | {"fits": plan.fits} for plan in report.plans]
    service = asdict(report.service)
    document = {"schema": "profiler-serving/1", "target": report.target, "service": service, "plans": rows}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _memory_row(plan: ServingPlan) -> tuple[str, ...]:
    free = int(plan.free.value) if plan.free is not None else None
    return (
        plan.device,
        plan.precision,
        _size(plan.weights),
        _size(plan.kv_cache),
        _size(plan.workspace),
        "" if free is None else units.size(free) if free >= 0 else f"lacks {units.size(-free)}",
        "" if plan.largest_users is None else f"{int(plan.largest_users.value):,}",
        "" if plan.longest_context is None else f"{int(plan.longest_context.value):,}",
    )


def _time_row(plan: ServingPlan) -> tuple[str, ...]:
    price = plan.price_per_million_tokens
    return (
        plan.device + ("" if plan.fits else " (does not fit)"),
        units.seconds(float(plan.first_token_s.value)),
        _range(plan.first_token_range_s),
        units.seconds(float(plan.token_s.value)),
        _range(plan.token_range_s),
        units.rounded(float(plan.tokens_per_s_per_user.value)),
        units.rounded(float(plan.tokens_per_s.value)),
        "" if price is None else units.rounded(float(price.value)),
    )


def _size(figure: Figure) -> str:
    return units.size(int(figure.value))


def _range(seconds: tuple[float, float] | None) -> str:
    return "" if seconds is None else f"{units.seconds(seconds[0])} to {units.seconds(seconds[1])}"
