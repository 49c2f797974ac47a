"""How documents' claims stand: as text, as a page of Markdown, and as JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.claims import Verdict
from profiler.report.claimed import difference, factor, measured, named, printed, scale, shortest, stated
from profiler.report.tables import WIDTH, table
from profiler.tally.saved_findings import FindingRow, finding_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from profiler.documents import Document, Standing, Verified
    from profiler.report.tables import Side

SCHEMA = "profiler-claims/1"
_COLUMNS: Mapping[str, Side] = {
    "claim": "left", "verdict": "left", "printed": "right", "found": "right", "factor": "right",
}  # fmt: skip
_NARROWEST = 17  # of the claims' names, where figures take the rest of the line


def text(verified: Sequence[Verified], width: int = WIDTH) -> str:
    """Write a table of the claims of each document, and under it what there is to say of each."""
    parts = []
    for document, claims in _by_document(verified):
        parts += [f"{document.id}: {document.title}", summary(claims), table(_COLUMNS, rows(claims), width, _NARROWEST)]
        parts += ["\n".join(_wrapped(*line, width) for line in story(claim)) for claim in claims]
    return "\n\n".join(parts) + "\n"


def markdown(verified: Sequence[Verified]) -> str:
    """Write a page that a person can read."""
    parts = ["# What the documents say, and what is so", _PREFACE]
    for document, claims in _by_document(verified):
        parts += [f"## {document.id}: {document.title}", f"{document.origin} {summary(claims)}".strip()]
        for claim in claims:
            head, *lines = [line for _, line in story(claim)]
            parts.append("\n".join([f"### {head}", "", *(f"- {_escaped(line)}" for line in lines)]))
    return "\n\n".join(parts) + "\n"


def json_value(verified: Sequence[Verified]) -> dict[str, Any]:
    """Give the findings, with the id of their claim, as JSON has them."""
    rows = [_json_row(claim, standing) for claim in verified for standing in claim.standings]
    verdicts = {claim.claim.id: claim.verdict.value for claim in verified}
    return {"schema": SCHEMA, "verdicts": verdicts, "findings": rows}


def summary(claims: Iterable[Verified]) -> str:
    """Count the verdicts.

    Example:
        >>> summary([])
        '0 claims'
    """
    counts = Counter(claim.verdict for claim in claims)
    told = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    return f"{sum(counts.values())} claims" + (f": {told}" if told else "")


def rows(claims: Iterable[Verified]) -> list[tuple[str, ...]]:
    """List every figure: what is printed, what is found, and by how much they differ."""
    found: list[tuple[str, ...]] = []
    for claim in claims:
        for i, standing in enumerate(claim.standings):
            name = claim.claim.id if not i else ""
            label = " ".join(part for part in (name, named(standing.figure)) if part)
            value = measured(standing)
            if standing.figure.printed is not None:
                value = value.removesuffix(f" {standing.figure.unit}")  # it stands in the column before
            figures = map(shortest, (printed(standing), value, factor(standing)))
            found.append((label, standing.verdict.value, *figures))
    return found


def story(verified: Verified) -> Iterator[tuple[str, str]]:
    """Say what is claimed, how each figure stands and why, and what a careful reader would note; with indents."""
    claim = verified.claim
    yield "", f"{claim.id}: {verified.verdict.value}"
    yield "  ", claim.says
    if claim.doubt:
        yield "  ", f"In doubt: {claim.doubt}"
    for standing in verified.standings:
        yield from _figure_story(standing)
    if claim.margin and verified.verdict is not Verdict.FAILED:
        yield "  ", f"Margin: {_filled(claim.margin, verified.standings)}"


def _figure_story(standing: Standing) -> Iterator[tuple[str, str]]:
    figure, finding = standing.figure, standing.finding
    label = named(figure)
    yield "  ", (f"{label}: {standing.verdict.value}; " if label else "") + _compared(standing)
    if figure.missing:
        yield "    ", f"Cannot be verified: {figure.missing}"
        return
    for cause in finding.causes:
        amount = difference(Fraction(cause.amount) / scale(figure), figure.unit)
        yield "    ", f"{amount}  {cause.kind.value}: {cause.why}"
    for source in standing.sources:
        if "confidence" in source:
            yield "    ", f"Source: {source}"
    if finding.unexplained:
        yield "    ", f"{difference(Fraction(finding.unexplained) / scale(figure), figure.unit)}  unexplained"


def _compared(standing: Standing) -> str:
    figure = standing.figure
    if standing.status:
        return f"{figure.expression or printed(standing)} is said; {standing.finding.claim.error}"
    if figure.kind == "formula":
        found = f"{figure.expression} {figure.unit} is said; {standing.form} is found, at {standing.settings} settings"
        return found if standing.verdict is Verdict.AGREES else f"{found}; amounts at {standing.at}"
    said = f"{figure.expression} = " if figure.kind == "arithmetic" and figure.expression else ""
    if figure.missing:
        return f"{figure.expression} = {measured(standing)} is found" if figure.expression else "nothing is found"
    if figure.printed is None:
        return f"{figure.expression} gives {stated(standing)}; found {measured(standing)}"
    return f"{said}{printed(standing)} is said; found {measured(standing)}"


def _filled(margin: str, standings: Sequence[Standing]) -> str:
    """Put the measured values into the margin."""
    values: dict[str, str] = {}
    for standing in reversed(standings):
        own = {"ours": measured(standing), "claimed": stated(standing), "factor": factor(standing)}
        names = {**standing.values, **own}
        values = values | names | {f"{standing.figure.of}.{k}": v for k, v in names.items() if standing.figure.of}
    for name, value in values.items():
        margin = margin.replace(f"{{{name}}}", value)
    return margin


def _by_document(verified: Iterable[Verified]) -> list[tuple[Document, list[Verified]]]:
    found: dict[str, tuple[Document, list[Verified]]] = {}
    for claim in verified:
        found.setdefault(claim.document.id, (claim.document, []))[1].append(claim)
    return list(found.values())


def _json_row(verified: Verified, standing: Standing) -> dict[str, Any]:
    (row,) = finding_rows((standing.finding,))
    figure = standing.figure
    more = {
        "says": verified.claim.says,
        "kind": figure.kind,
        "printed": figure.printed,
        "printed_unit": figure.unit,
        "expression": figure.expression,
        "reading": figure.reading,
        "settings": standing.settings,
        "ratios": standing.ratios,
        "at": standing.at,
        "form": standing.form,
        "margin": _filled(verified.claim.margin, verified.standings),
        "missing": figure.missing,
        "sources": list(standing.sources),
    }
    if standing.status:
        more |= {"ours": None, "margin": ""}
    return FindingRow.model_dump(row) | {"verdict": standing.verdict.value} | more


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
