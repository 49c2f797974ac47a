"""The difference of two profiles as text, Markdown and CSV, and as JSON (schema ``profiler-diff/1``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import markdown as markdown_text
from profiler.report.difference_document import difference_document
from profiler.report.registry import Formats
from profiler.report.report import Report
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import percent, signed, signed_exact, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.guard import Baseline, Change, Delta, Difference
    from profiler.report.tables import Side
    from profiler.tally import Profile

_SHOWN = 16
_SIGNS = {"added": "+", "removed": "−", "changed": "~"}
_COSTS: dict[str, Side] = {"MACs": "right", "FLOPs": "right", "bytes": "right", "params": "right"}


@dataclass(frozen=True, slots=True)
class DiffReport:
    """The difference of two profiles, and what to call the two; by default, by their models."""

    difference: Difference
    before: str = ""
    after: str = ""


DIFF_FORMATS: Formats[DiffReport] = Formats()


@DIFF_FORMATS.register("text")
def to_text(report: DiffReport) -> str:
    """Write what changed, largest effect first: totals with every digit, their parts rounded."""
    difference, before, after = report.difference, report.before, report.after
    heads = f"before  {_heading(difference.before, before)}\nafter   {_heading(difference.after, after)}"
    if difference.is_empty:
        return f"{heads}\n\nNothing changed.\n"
    parts = [heads, _totals(difference), *_moves(difference), *_modules(difference)]
    parts += [*_operators(difference), *_phases(difference), *_memory(difference)]
    return "\n\n".join(parts) + "\n"


@DIFF_FORMATS.register("markdown")
def to_markdown(report: DiffReport) -> str:
    """Write the totals that changed, and the modules with the largest effect."""
    difference = report.difference
    heads = [
        f"before: {markdown_text(_heading(difference.before, report.before))}",
        f"after: {markdown_text(_heading(difference.after, report.after))}",
    ]
    if difference.is_empty:
        return page(*heads, "Nothing changed.")
    totals = [_exact_row(delta) for delta in (*difference.totals, *difference.memory) if delta.change]
    modules = _module_rows(difference)
    return page(
        *heads,
        markdown_table(_exact_columns("total"), totals) if totals else "",
        markdown_table({"module": "left", **_COSTS}, modules) if modules else "",
        _hidden_modules(difference),
    )


@DIFF_FORMATS.register("csv")
def to_csv(report: DiffReport) -> str:
    """Write a line for each figure of the totals, of the memory and of each module that changed."""
    difference = report.difference
    rows = [("total", "", delta) for delta in difference.totals]
    rows += [("peak memory", "", delta) for delta in difference.memory]
    rows += [(row.kind, path_name(row.path), delta) for row in difference.modules for delta in row.deltas]
    columns = ("kind", "module", "figure", "before", "after", "change")
    return csv_table(columns, ((kind, path, d.name, d.before, d.after, d.change) for kind, path, d in rows))


@DIFF_FORMATS.register("json")
def to_json(report: DiffReport) -> str:
    """Write every change as JSON, with every digit."""
    document = difference_document(report.difference, report.before, report.after)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@DIFF_FORMATS.register("html")
def to_html(report: DiffReport) -> str:
    """Write a page with both reports, and their icicles against each other."""
    from profiler.report.page.render import render_page  # noqa: PLC0415 - jinja2 and plotly are for this format alone

    difference, names = report.difference, (report.before, report.after)
    profiles = (difference.before, difference.after)
    reports = [Report(profile, name or profile.model, 0) for profile, name in zip(profiles, names, strict=True)]
    changes = [
        (f"{_SIGNS[row.kind]} {path_name(row.path)} {row.type}", *_costs(row.deltas)) for row in difference.modules
    ]
    return render_page(reports, f"{reports[0].title} → {reports[1].title}", changes)


def changes_text(changes: Iterable[Change], *, binary: bool = False) -> str:
    """Return a table of the places where one figure changed, with its value before and after."""
    short = units.size if binary else units.count
    rows = [
        (
            _place(change),
            change.place.operator,
            short(change.before),
            short(change.after),
            signed_exact(change.change),
        )
        for change in changes
    ]
    columns: dict[str, Side] = {
        "module": "left", "operator": "left", "before": "right", "after": "right", "change": "right",
    }  # fmt: skip
    return _few(columns, rows, 8)


def acceptance_text(baseline: Baseline, profile: Profile) -> str:
    """Return the note of an accepted baseline: its file, and what changed."""
    if baseline.profile is not None:
        from profiler.guard import diff  # noqa: PLC0415 - help needs the names of the formats alone

        return f"accepted {baseline.path}\n{to_text(DiffReport(diff(baseline.profile, profile)))}"
    t = profile.totals
    figures = f"{units.exact(t.macs)} macs, {units.exact(t.flops)} flops, {units.exact(t.params)} params"
    return f"accepted {baseline.path}, new: {figures}\n"


def path_name(path: str) -> str:
    """Return the path of a module; the root, which has none, is ``(model)``."""
    return path or "(model)"


def _place(change: Change) -> str:
    was = "" if change.was is None else f" (was {path_name(change.was)})"
    return f"{_SIGNS[change.kind]} {path_name(change.place.module)}{was}"


def _heading(profile: Profile, title: str) -> str:
    torch = dict(profile.versions).get("torch", "")
    return " · ".join(part for part in (Report(profile, title or profile.model, 0).heading, f"torch {torch}") if part)


def _few(columns: dict[str, Side], rows: Sequence[tuple[str, ...]], shown: int = _SHOWN) -> str:
    text = table(columns, rows[:shown])
    return f"{text}\nand {len(rows) - shown} more" if len(rows) > shown else text


def _totals(difference: Difference) -> str:
    return table(_exact_columns("total"), [_exact_row(delta) for delta in difference.totals])


def _exact_columns(first: str) -> dict[str, Side]:
    return {first: "left", "before": "right", "after": "right", "change": "right", "% of before": "right"}


def _exact_row(delta: Delta) -> tuple[str, ...]:
    change = signed_exact(delta.change) if delta.change else "="
    figures = units.exact(delta.before), units.exact(delta.after), change
    return (delta.name.replace("_", " "), *figures, percent(delta.change, delta.before))


def _moves(difference: Difference) -> list[str]:
    rows = [(path_name(move.old), path_name(move.new), move.type) for move in difference.moves]
    columns: dict[str, Side] = {"moved, same work": "left", "to": "left", "type": "left"}
    return [_few(columns, rows)] if rows else []


def _modules(difference: Difference) -> list[str]:
    rows = _module_rows(difference)
    hidden = _hidden_modules(difference)
    text = table({"module": "left", **_COSTS}, rows)
    return [f"{text}\n{hidden}" if hidden else text] if rows else []


def _hidden_modules(difference: Difference) -> str:
    hidden = len(difference.modules) - _SHOWN
    return f"and {hidden} more" if hidden > 0 else ""


def _module_rows(difference: Difference) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for row in difference.modules[:_SHOWN]:
        was = "" if row.was is None else f" (was {path_name(row.was)})"
        operators = row.operators if row.kind == "changed" else ()
        only = f" {operators[0].operator}" if len(operators) == 1 else ""
        rows.append((f"{_SIGNS[row.kind]} {path_name(row.path)} {row.type}{was}{only}", *_costs(row.deltas)))
        if not only:
            rows += [(f"    {o.operator} {o.dtype}", *_costs(o.deltas)) for o in operators]
    return rows


def _operators(difference: Difference) -> list[str]:
    rows = [(f"{row.operator} {row.dtype}", *_costs(row.deltas)[:-1]) for row in difference.operators]
    columns: dict[str, Side] = {"operator": "left", **_COSTS}
    del columns["params"]
    return [_few(columns, rows)] if rows else []


def _phases(difference: Difference) -> list[str]:
    rows = [(phase, *_costs(deltas)[:-1]) for phase, deltas in difference.phases.items()]
    columns: dict[str, Side] = {"phase": "left", **_COSTS}
    del columns["params"]
    return [table(columns, rows)] if rows else []


def _memory(difference: Difference) -> list[str]:
    rows = [_exact_row(delta) for delta in difference.memory]
    return [table(_exact_columns("peak memory"), rows)] if any(d.change for d in difference.memory) else []


def _costs(deltas: Iterable[Delta]) -> tuple[str, ...]:
    """Return the changes of MACs, FLOPs, bytes and parameters."""
    by_name = {delta.name: delta.change for delta in deltas}
    moved = by_name.get("bytes_read", 0) + by_name.get("bytes_written", 0)
    macs, flops, params = (signed(by_name.get(name, 0)) for name in ("macs", "flops", "params"))
    return macs, flops, signed(moved, binary=True), params
