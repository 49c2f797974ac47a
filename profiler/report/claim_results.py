"""How documents' claims stand: as text, as a page of Markdown, and as JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.report.claim_figures import difference, factor, measured, named, printed, scale, shortest, stated
from profiler.report.tables import WIDTH, table
from profiler.tally.saved_findings import FindingRow, finding_rows
from profiler.values.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from profiler.documents import ClaimResult, Document, FigureResult
    from profiler.report.tables import Side

SCHEMA = "profiler-claims/1"
_COLUMNS: Mapping[str, Side] = {
    "claim": "left", "verdict": "left", "printed": "right", "found": "right", "factor": "right",
}  # fmt: skip
_NARROWEST = 17  # of the claims' names, where figures take the rest of the line


def text(claim_results: Sequence[ClaimResult], width: int = WIDTH) -> str:
    """Write a table of the claims of each document, and under it what there is to say of each."""
    parts = []
    for document, claims in _by_document(claim_results):
        parts += [f"{document.id}: {document.title}", summary(claims), table(_COLUMNS, rows(claims), width, _NARROWEST)]
        parts += ["\n".join(_wrapped(*line, width) for line in story(claim)) for claim in claims]
    return "\n\n".join(parts) + "\n"


def markdown(claim_results: Sequence[ClaimResult]) -> str:
    """Write a page that a person can read."""
    parts = ["# What the documents say, and what is so", _PREFACE]
    for document, claims in _by_document(claim_results):
        parts += [f"## {document.id}: {document.title}", f"{document.origin} {summary(claims)}".strip()]
        for claim in claims:
            head, *lines = [line for _, line in story(claim)]
            parts.append("\n".join([f"### {head}", "", *(f"- {_escaped(line)}" for line in lines)]))
    return "\n\n".join(parts) + "\n"


def json_value(claim_results: Sequence[ClaimResult]) -> dict[str, Any]:
    """Give the findings, with the id of their claim, as JSON has them."""
    rows = [_json_row(claim, result) for claim in claim_results for result in claim.results]
    verdicts = {claim.claim.id: claim.verdict.value for claim in claim_results}
    return {"schema": SCHEMA, "verdicts": verdicts, "findings": rows}


def summary(claims: Iterable[ClaimResult]) -> str:
    """Count the verdicts.

    Example:
        >>> summary([])
        '0 claims'
    """
    counts = Counter(claim.verdict for claim in claims)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    return f"{sum(counts.values())} claims" + (f": {told}" if told else "")


def rows(claims: Iterable[ClaimResult]) -> list[tuple[str, ...]]:
    """List every figure: what is printed, what is found, and by how much they differ."""
    found: list[tuple[str, ...]] = []
    for claim in claims:
        for i, result in enumerate(claim.results):
            name = claim.claim.id if not i else ""
            label = " ".join(part for part in (name, named(result.figure)) if part)
            value = measured(result)
            if result.figure.printed is not None:
                value = value.removesuffix(f" {result.figure.unit}")  # it stands in the column before
            figures = map(shortest, (printed(result), value, factor(result)))
            found.append((label, result.verdict.value, *figures))
    return found


def story(claim_results: ClaimResult) -> Iterator[tuple[str, str]]:
    """Say what is claimed, how each figure stands and why, and what a careful reader would note; with indents."""
    claim = claim_results.claim
    yield "", f"{claim.id}: {claim_results.verdict.value}"
    yield "  ", claim.says
    if claim.doubt:
        yield "  ", f"In doubt: {claim.doubt}"
    for result in claim_results.results:
        yield from _figure_story(result)
    if claim.margin and claim_results.verdict is not Verdict.FAILED:
        yield "  ", f"Margin: {_filled(claim.margin, claim_results.results)}"


def _figure_story(result: FigureResult) -> Iterator[tuple[str, str]]:
    figure, finding = result.figure, result.finding
    label = named(figure)
    yield "  ", (f"{label}: {result.verdict.value}; " if label else "") + _compared(result)
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


def _compared(result: FigureResult) -> str:
    figure = result.figure
    if result.status:
        return f"{figure.expression or printed(result)} is said; {result.finding.claim.error}"
    if figure.kind == "formula":
        found = f"{figure.expression} {figure.unit} is said; {result.form} is found, at {result.settings} settings"
        return found if result.verdict is Verdict.AGREES else f"{found}; amounts at {result.at}"
    said = f"{figure.expression} = " if figure.kind == "arithmetic" and figure.expression else ""
    if figure.missing:
        return f"{figure.expression} = {measured(result)} is found" if figure.expression else "nothing is found"
    if figure.printed is None:
        return f"{figure.expression} gives {stated(result)}; found {measured(result)}"
    return f"{said}{printed(result)} is said; found {measured(result)}"


def _filled(margin: str, results: Sequence[FigureResult]) -> str:
    """Put the measured values into the margin."""
    values: dict[str, str] = {}
    for result in reversed(results):
        own = {"ours": measured(result), "claimed": stated(result), "factor": factor(result)}
        names = {**result.values, **own}
        values = values | names | {f"{result.figure.of}.{k}": v for k, v in names.items() if result.figure.of}
    for name, value in values.items():
        margin = margin.replace(f"{{{name}}}", value)
    return margin


def _by_document(claim_results: Iterable[ClaimResult]) -> list[tuple[Document, list[ClaimResult]]]:
    found: dict[str, tuple[Document, list[ClaimResult]]] = {}
    for claim in claim_results:
        found.setdefault(claim.document.id, (claim.document, []))[1].append(claim)
    return list(found.values())


def _json_row(claim_results: ClaimResult, result: FigureResult) -> dict[str, Any]:
    (row,) = finding_rows((result.finding,))
    figure = result.figure
    more = {
        "says": claim_results.claim.says,
        "kind": figure.kind,
        "printed": figure.printed,
        "printed_unit": figure.unit,
        "expression": figure.expression,
        "reading": figure.reading,
        "settings": result.settings,
        "ratios": result.ratios,
        "at": result.at,
        "form": result.form,
        "margin": _filled(claim_results.claim.margin, claim_results.results),
        "missing": figure.missing,
        "sources": list(result.sources),
    }
    if result.status:
        more |= {"ours": None, "margin": ""}
    return FindingRow.model_dump(row) | {"verdict": result.verdict.value} | more


def _wrapped(indent: str, line: str, width: int) -> str:
    return textwrap.fill(
        line, width, initial_indent=indent, subsequent_indent=f"{indent}    " if indent else "",
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip


def _escaped(line: str) -> str:
    return line.replace("*", r"\*").replace("_", r"\_").replace("<", r"\<")


_PREFACE = (
    "Generated by `python -m profiler verify --format markdown`: every formula and figure of the documents that come "
    "with the package, held against live models, the catalogue of devices, or its own arithmetic. Verdicts are "
    "computed from the numbers: *agrees* to the printed digits; *explained* by rounding, stated approximations or "
    "mistakes of at most a twentieth; *contradicted* by mistakes that are named, with nothing left over; *unexplained* "
    "where part of the difference has no name; *unverifiable* where nothing is left to hold it against. An amount is "
    "what is found less what is said: + is what the document leaves out."
)
