"""The difference of two profiles as plain values, in the schema ``profiler-diff/1``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.report.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.guard import Delta, Difference, ModuleChange
    from profiler.tally import Profile


def difference_document(difference: Difference, before: str, after: str) -> dict[str, Any]:
    """Return every change, with every digit; *before* and *after* are the titles of the two."""
    return {
        "schema": "profiler-diff/1",
        "changed": not difference.is_empty,
        "before": _side(difference.before, before),
        "after": _side(difference.after, after),
        "totals": _figures(difference.totals),
        "peak_memory": _figures(difference.memory),
        "phases": {phase: _figures(deltas) for phase, deltas in difference.phases.items()},
        "moved": [{"was": move.old, "path": move.new, "type": move.type} for move in difference.moves],
        "modules": [_module(row) for row in difference.modules],
        "operators": [_operator(row) for row in difference.operators],
    }


def _side(profile: Profile, title: str) -> dict[str, Any]:
    heading = Report(profile, title or profile.model, 0).heading
    return {"model": profile.model, "heading": heading, "device": profile.device, "versions": dict(profile.versions)}


def _figures(deltas: Iterable[Delta]) -> dict[str, dict[str, int]]:
    return {d.name: {"before": d.before, "after": d.after, "change": d.change} for d in deltas}


def _module(row: ModuleChange) -> dict[str, Any]:
    was = {} if row.was is None else {"was": row.was}
    figures = {"figures": _figures(row.deltas), "operators": [_operator(operator) for operator in row.operators]}
    return {"change": row.kind, "path": row.path, **was, "type": row.type, **figures}


def _operator(row: Any) -> dict[str, Any]:
    return {"operator": row.operator, "dtype": row.dtype, "figures": _figures(row.deltas)}
