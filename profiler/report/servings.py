"""Plans of a service as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from profiler import units
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


def text(target: str, service: Service, plans: Sequence[ServingPlan]) -> str:
    """Format a service on several devices: what fits, and how fast it is."""
    heading = (
        f"{target}: {service.users} users at once, {service.context:,} tokens of context and "
        f"{service.output_tokens:,} generated for each"
    )
    notes = list(dict.fromkeys(note for plan in plans for note in plan.notes))
    parts = [
        heading,
        table(_MEMORY, [_memory_row(plan) for plan in plans], width=_WIDTH),
        table(_TIME, [_time_row(plan) for plan in plans], width=_WIDTH),
        "first token: of one user's context, none waiting; per token: a step of all users, halfway through",
        *notes,
    ]
    return "\n\n".join(parts) + "\n"


def to_json(target: str, service: Service, plans: Sequence[ServingPlan]) -> str:
    """Write every figure with its kind and source."""
    rows = [asdict(plan) | {"fits": plan.fits} for plan in plans]
    document = {"schema": "profiler-serving/1", "target": target, "service": asdict(service), "plans": rows}
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
