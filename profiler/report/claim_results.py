"""The results of checking documents' claims, in every format of ``profiler verify``.

To add a format, write a function here, decorated ``@CLAIM_FORMATS.register("name")``: the command line offers it.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.report.claim_figures import (
    abbreviate,
    actual,
    actual_cell,
    claimed,
    difference,
    factor,
    label,
    printed,
    scale,
)
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table
from profiler.report.tables import WIDTH, table
from profiler.units import with_unit
from profiler.values.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from profiler.documents import ClaimResult, Document, FigureResult, PrintedFigure
    from profiler.report.tables import Side

SCHEMA = "profiler-claims/1"
CLAIM_FORMATS: Formats[Sequence[ClaimResult]] = Formats()
_COLUMNS: Mapping[str, Side] = {
    "claim": "left", "verdict": "left", "printed": "right", "actual": "right", "factor": "right",
}  # fmt: skip
_MIN_NAME_WIDTH = 17  # of the column of claims, if the other columns leave no more


@CLAIM_FORMATS.register("text")
def text(claim_results: Sequence[ClaimResult], width: int = WIDTH) -> str:
    """Return for each document a table of its figures, and below it the details of each claim."""
    parts = []
    for document, claims in _by_document(claim_results):
        parts += [f"{document.id}: {document.title}", summary(claims)]
        parts += [table(_COLUMNS, _rows(claims), width, _MIN_NAME_WIDTH)]
        parts += ["\n".join(_wrap(*line, width) for line in _details(claim)) for claim in claims]
    return "\n\n".join(parts) + "\n"


@CLAIM_FORMATS.register("markdown")
def markdown(claim_results: Sequence[ClaimResult]) -> str:
    """Return a page of Markdown, with a section for each document and each claim."""
    parts = ["# Claims of documents, checked", _PREFACE]
    for document, claims in _by_document(claim_results):
        parts += [f"## {document.id}: {document.title}"]
        parts += [part for part in (document.origin, f"{summary(claims)}.") if part]
        for claim in claims:
            head, *lines = _details(claim)
            items = [f"{indent[2:]}- {_escape(line)}" for indent, line in lines]
            parts.append("\n".join([f"### {head[1]}", "", *items]))
    return "\n\n".join(parts) + "\n"


@CLAIM_FORMATS.register("csv")
def to_csv(claim_results: Sequence[ClaimResult]) -> str:
    """Return a line for each figure."""
    columns = ("document", "claim", "figure", "verdict", "printed", "actual", "factor", "unit")
    rows = [
        (
            claim.document.id, claim.claim.id, label(result.figure), result.verdict.value, printed(result),
            actual_cell(result), factor(result), result.figure.unit,
        )
        for claim in claim_results
        for result in claim.results
    ]  # fmt: skip
    return csv_table(columns, rows)


@CLAIM_FORMATS.register("json")
def to_json(claim_results: Sequence[ClaimResult]) -> str:
    """Return the verdicts of the claims, and one finding per figure, as JSON."""
    document = {
        "schema": SCHEMA,
        "verdicts": {claim.claim.id: claim.verdict.value for claim in claim_results},
        "findings": [_json_row(claim, result) for claim in claim_results for result in claim.results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summary(claims: Iterable[ClaimResult]) -> str:
    """Return the number of claims, in total and by verdict.

    Example:
        >>> summary([])
        '0 claims'
    """
    counts = Counter(claim.verdict for claim in claims)
    words = {
        verdict: "agree" if verdict is Verdict.AGREES and counts[verdict] > 1 else verdict.value for verdict in counts
    }
    verdicts = ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in Verdict if verdict in counts)
    total = sum(counts.values())
    return f"{total} claim{'' if total == 1 else 's'}" + (f": {verdicts}" if verdicts else "")


def _by_document(claim_results: Iterable[ClaimResult]) -> list[tuple[Document, list[ClaimResult]]]:
    groups: dict[str, tuple[Document, list[ClaimResult]]] = {}
    for claim in claim_results:
        groups.setdefault(claim.document.id, (claim.document, []))[1].append(claim)
    return list(groups.values())


def _rows(claims: Iterable[ClaimResult]) -> list[tuple[str, ...]]:
    """Return a row for each figure; the first of each claim has its id."""
    rows: list[tuple[str, ...]] = []
    for claim in claims:
        for i, result in enumerate(claim.results):
            name = " ".join(part for part in ("" if i else claim.claim.id, label(result.figure)) if part)
            numbers = map(abbreviate, (printed(result), actual_cell(result), factor(result)))
            rows.append((name, result.verdict.value, *numbers))
    return rows


def _details(claim_result: ClaimResult) -> Iterator[tuple[str, str]]:
    """Yield the lines about a claim with their indents: the claim, its figures with their causes, and the note."""
    claim = claim_result.claim
    yield "", f"{claim.id}: {claim_result.verdict.value}"
    yield "  ", claim.says
    if claim.doubt:
        yield "  ", f"Ambiguous: {claim.doubt}"
    for result in claim_result.results:
        yield from _figure_details(result)
    if claim.margin and claim_result.verdict is not Verdict.FAILED:
        yield "  ", f"Note: {_fill_in(claim.margin, claim_result.results)}"


def _figure_details(result: FigureResult) -> Iterator[tuple[str, str]]:
    figure, finding = result.figure, result.finding
    name, comparison = label(figure), _comparison(result)
    yield "  ", f"{name}: {result.verdict.value}; {comparison}" if name else comparison[0].upper() + comparison[1:]
    if figure.missing:
        yield "    ", f"Cannot be verified: {figure.missing}"
        return
    for cause in finding.causes:
        amount = difference(Fraction(cause.amount) / scale(figure), figure.unit)
        yield "    ", f"{amount}  {cause.kind.value}: {cause.why}"
    for source in result.sources:
        if "confidence" in source:
            yield "    ", f"Source: {source}"
    if finding.unexplained:
        yield "    ", f"{difference(Fraction(finding.unexplained) / scale(figure), figure.unit)}  unexplained"


def _comparison(result: FigureResult) -> str:
    """Return one line with the claimed and the actual value, or the error."""
    figure = result.figure
    if result.status:
        return f"claimed {figure.expression or printed(result)}, not measured: {result.finding.claim.error}"
    if figure.kind == "formula":
        formula, form = (with_unit(text, figure.unit) for text in (figure.expression or "", result.form))
        amounts = "" if result.verdict is Verdict.AGREES else f"; amounts for {result.at}"
        return f"claimed {formula}, measured {form}, compared at {result.settings} settings{amounts}"
    if figure.missing:
        return f"computed {figure.expression} = {actual(result)}" if figure.expression else "nothing to compare"
    expression = f"{figure.expression} = " if figure.expression else ""
    return f"claimed {expression}{claimed(result)}, {_verb(figure)} {actual(result)}"


def _verb(figure: PrintedFigure) -> str:
    """Return how the actual value was obtained: from a model, from the catalogue of devices, or from other figures."""
    if figure.kind == "fact" and any(measure.target for measure in figure.measures.values()):
        return "measured"
    return "listed" if figure.kind == "fact" and figure.measured == "ours" else "computed"


def _fill_in(margin: str, results: Sequence[FigureResult]) -> str:
    """Replace the names in braces with values; names without a figure are those of the first that has them."""
    values: dict[str, str] = {}
    for result in reversed(results):
        own = {"ours": actual(result), "claimed": claimed(result), "factor": factor(result)}
        names = {**result.values, **own}
        values = values | names | {f"{result.figure.of}.{k}": v for k, v in names.items() if result.figure.of}
    for name, value in values.items():
        margin = margin.replace(f"{{{name}}}", value)
    return margin


def _json_row(claim_result: ClaimResult, result: FigureResult) -> dict[str, Any]:
    from profiler.tally.saved_findings import FindingRow, finding_rows  # noqa: PLC0415 - pydantic

    (row,) = finding_rows((result.finding,))
    figure = result.figure
    more = {
        "says": claim_result.claim.says,
        "kind": figure.kind,
        "printed": figure.printed,
        "printed_unit": figure.unit,
        "expression": figure.expression,
        "reading": figure.reading,
        "settings": result.settings,
        "ratios": result.ratios,
        "at": result.at,
        "form": result.form,
        "margin": _fill_in(claim_result.claim.margin, claim_result.results),
        "missing": figure.missing,
        "sources": list(result.sources),
    }
    if result.status:
        more |= {"ours": None, "margin": ""}
    return FindingRow.model_dump(row) | {"verdict": result.verdict.value} | more


def _wrap(indent: str, line: str, width: int) -> str:
    return textwrap.fill(
        line, width, initial_indent=indent, subsequent_indent=f"{indent}    " if indent else "",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip


def _escape(line: str) -> str:
    return line.replace("*", r"\*").replace("_", r"\_").replace("<", r"\<")


_PREFACE = (
    "Generated by `python -m profiler verify --format markdown`. Every formula and figure of the documents that come "
    "with the package is compared with live models, with the catalogue of devices, or with its own arithmetic. "
    "Verdicts are computed from the numbers: *agrees* to the printed digits; *explained* by rounding, stated "
    "approximations or mistakes of at most 5 %; *contradicted* by larger mistakes, all of which are named; "
    "*unexplained* if part of the difference has no known cause; *unverifiable* if there is nothing to compare with. "
    "An amount is the actual value minus the claimed one: + is what the document leaves out, − is what it adds."
)
