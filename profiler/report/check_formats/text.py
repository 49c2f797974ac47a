"""The results of ``profiler check`` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, CheckReport, outcome_text

if TYPE_CHECKING:
    from profiler.errors import ProfilerError


@CHECK_FORMATS.register("text")
def to_text(report: CheckReport) -> str:
    """Write every budget with its limits, and where the figures of broken limits grew."""
    parts = [_budget(name, outcome) for name, outcome in report.outcomes.items()]
    if report.passed:
        parts.append(report.verdict)
    return "\n\n".join(parts) + "\n"


def _budget(name: str, outcome: Outcome | ProfilerError) -> str:
    return outcome_text(outcome) if isinstance(outcome, Outcome) else f"{name}\n\nnot checked: {outcome}"
