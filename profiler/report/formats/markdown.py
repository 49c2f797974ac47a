"""The report as Markdown tables, for an issue or a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler import units
from profiler.escaping import markdown as markdown_text
from profiler.escaping import shorten
from profiler.report import communication_tables, document_findings, finding_tables, projection_tables
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.report.savings import SAVINGS
from profiler.values.findings import TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.report.report import Report

_WIDE = 1000  # Markdown has no right margin
_INDENT = "\u00a0\u00a0"
#: The longest cell, in characters.
_LONGEST = 300


@PROFILE_FORMATS.register("markdown")
def markdown(report: Report) -> str:
    """Return the heading, totals, modules, operators, uncounted operators, findings and projection."""
    uncounted = report.uncounted()
    parts = [
        f"# {markdown_text(report.heading_with_mode)}",
        *(f"Note: {markdown_text(shorten(note, _LONGEST))}" for note in report.profile.notes),
        _table(("total", "exact", "short"), ((line.label, line.exact, line.short) for line in report.totals())),
        *_step(report),
        *_memory(report),
        _table(SAVINGS, report.proposed_savings()),
        "\n".join(f"- {markdown_text(note)}" for note in report.unknown_savings()),
        *_communication(report),
        *_documents(report),
        _table(("module", "type", "MACs", "FLOPs", "% FLOPs", "params", "output"), _modules(report)),
        _table(("operator", "dtype", "calls", "MACs", "FLOPs", "bytes"), _operators(report)),
        _table(("uncounted operator", "calls"), uncounted) if uncounted else "Every operator is counted, or free.",
        *report.hints(),
    ]
    parts += _findings(report)
    parts += _projection(report)
    return "\n\n".join(filter(None, parts)) + "\n"


def _step(report: Report) -> list[str]:
    if not report.is_step:
        return []
    rows = [
        (
            phase,
            units.exact(t.macs),
            units.exact(t.flops),
            units.exact(t.bytes_read + t.bytes_written),
            units.exact(t.peak_memory.get("total", 0)),
        )
        for phase, t in report.phases()
    ]
    lines = ((line.label, line.exact, line.short) for line in report.step())
    return [
        _table(("phase", "MACs", "FLOPs", "bytes", "peak memory"), rows),
        _table(("training step", "exact", "short"), lines),
    ]


def _memory(report: Report) -> list[str]:
    lines = [(line.label.strip(), line.exact, line.short) for line in report.memory()]
    return [_table(("memory at the peak", "bytes", "short"), lines)] if lines else []


def _communication(report: Report) -> list[str]:
    rows = communication_tables.cells(report.profile.communication)
    return [_table(communication_tables.COLUMNS, rows)] if rows else []


def _documents(report: Report) -> list[str]:
    claims = document_findings.text(report.title, report.profile.findings, _WIDE)
    head, *lines = claims.splitlines() if claims else [""]
    return [head, "\n".join(f"- {line.strip()}" for line in lines)] if lines else []


def _findings(report: Report) -> list[str]:
    findings = tuple(f for f in report.profile.findings if not f.claim.id)
    if not findings:
        return []
    parts = [
        "## Other counters",
        _table(tuple(finding_tables.COLUMNS), finding_tables.summary(findings)),
        finding_tables.LEGEND,
    ]
    for finding in findings:
        lines = list(finding_tables.story(finding, findings)) if finding.claim.subject == TOTAL else []
        if lines:
            parts.append(f"### {markdown_text(finding_tables.heading(finding))}")
            parts.append("\n".join(f"- {markdown_text(line)}" for line in lines))
    return parts


def _projection(report: Report) -> list[str]:
    projection = report.profile.projection
    if projection is None:
        return []
    return [
        f"## {markdown_text(projection_tables.heading(projection))}",
        markdown_text(projection_tables.answer(projection)),
        *([f"**does not fit: {markdown_text(projection.shortfall)}**"] if projection.shortfall else []),
        _table(projection_tables.FIGURES, projection_tables.figure_rows(projection)),
        _table(projection_tables.OPERATORS, projection_tables.operator_rows(projection)),
        _table(projection_tables.WHAT_IFS, projection_tables.what_if_rows(projection)),
        *map(markdown_text, projection.notes),
    ]


def _modules(report: Report) -> Iterable[tuple[str, ...]]:
    total = report.profile.totals.flops
    for row in report.modules():
        t = row.totals
        mark = "≥ " if t.uncounted else ""
        name = _INDENT * row.level + row.name
        numbers = (units.count(t.macs), mark + units.count(t.flops), units.share(t.flops, total), units.count(t.params))
        yield (name, row.type, *numbers, row.output)


def _operators(report: Report) -> Iterable[tuple[str, ...]]:
    for row in report.operators():
        t = row.totals
        moved = units.size(t.bytes_read + t.bytes_written)
        yield (row.operator, row.dtype, str(row.calls), units.count(t.macs), units.count(t.flops), moved)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table with its columns aligned; what a cell holds is shown as it is. Without rows, nothing."""
    cells = [columns, *(tuple(markdown_text(shorten(cell, _LONGEST)) for cell in row) for row in rows)]
    if len(cells) == 1:
        return ""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
