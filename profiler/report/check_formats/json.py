"""The results of ``profiler check`` as JSON (schema ``profiler-check/1``)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, CheckReport

if TYPE_CHECKING:
    from profiler.errors import ProfilerError
    from profiler.guard import Check


@CHECK_FORMATS.register("json")
def to_json(report: CheckReport) -> str:
    """Write every limit, with the places where a broken one grew."""
    budgets = [_budget(name, outcome) for name, outcome in report.outcomes.items()]
    document = {"schema": "profiler-check/1", "passed": report.passed, "budgets": budgets}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _budget(name: str, outcome: Outcome | ProfilerError) -> dict[str, Any]:
    if not isinstance(outcome, Outcome):
        return {"name": name, "passed": False, "error": str(outcome)}
    limits = [_limit(check) for check in outcome.checks]
    complete = outcome.profile.is_complete
    return {"name": name, "passed": outcome.passed, "error": None, "complete": complete, "limits": limits}


def _limit(check: Check) -> dict[str, Any]:
    metric = check.limit.metric
    figures = {"value": check.value, "most": check.most, "least": check.least, "baseline": check.baseline}
    where = [
        {"module": c.place.module, "operator": c.place.operator, "dtype": c.place.dtype, "kind": c.kind, "was": c.was,
         "before": c.before, "after": c.after, "change": c.change}
        for c in check.where
    ]  # fmt: skip
    part = {"figure": metric.name, "unit": metric.unit, "part": metric.part or None, "pattern": metric.pattern or None}
    return {**part, "written": check.limit.written, "passed": check.passed, **figures, "where": where}
