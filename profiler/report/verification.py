"""How documents' claims stand: as text, as a page of Markdown, and as JSON."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler import units
from profiler.claims import Verdict
from profiler.report.tables import WIDTH, table
from profiler.tally.saved_findings import FindingRow, finding_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from profiler.documents import Document, Figure, Standing, Verified
    from profiler.report.tables import Side

SCHEMA = "profiler-claims/1"
_COLUMNS: Mapping[str, Side] = {
    "claim": "left", "verdict": "left", "printed": "right", "found": "right", "factor": "right",
}  # fmt: skip
_MILLION = 10**6
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
            label = " ".join(part for part in (name, _label(standing.figure)) if part)
            value = measured(standing)
            if standing.figure.printed is not None:
                value = value.removesuffix(f" {standing.figure.unit}")  # it stands in the column before
            figures = map(_short_cell, (printed(standing), value, factor(standing)))
            found.append((label, standing.verdict.value, *figures))
    return found


def _short_cell(cell: str) -> str:
    """Write a cell as short as it can be: what it leaves out stands in the story of the claim.

    Example:
        >>> _short_cell("450 (to 2 digits) GFLOP"), _short_cell("0.25 to 0.5"), _short_cell("4.7 Mparameter")
        ('450 GFLOP', '0.25–0.5', '4.7 Mparam')
    """
    cell = re.sub(r" \(to \d+ digits?\)", "", cell)
    return re.sub(r"(?<=[\d.]) to (?=[\d.])", "–", cell).replace("parameter", "param")


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


def printed(standing: Standing) -> str:
    """Write what is printed, with its unit; a formula is too long for a table."""
    figure = standing.figure
    if figure.printed is not None:
        return f"{_plain(figure.printed)} {figure.unit}".strip()
    return "nothing" if figure.missing else "a formula"


def measured(standing: Standing) -> str:
    """Write what is found, in the unit that is printed."""
    if standing.status:
        return "nothing"
    figure, value = standing.figure, Fraction(standing.finding.ours)
    if figure.printed is None and _scale(figure) == 1 and value == int(value):
        return units.count(int(value), figure.unit)
    return f"{_short(value / _scale(figure))} {figure.unit}".strip()


def factor(standing: Standing) -> str:
    """Write how many times what is printed is found; a formula's least and most."""
    if standing.ratios is not None:
        least, most = (1 / ratio if ratio else 0.0 for ratio in reversed(standing.ratios))
        return f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
    claimed = standing.finding.claim.claimed
    return f"{float(Fraction(standing.finding.ours) / Fraction(claimed)):.3g}" if claimed else ""


def _figure_story(standing: Standing) -> Iterator[tuple[str, str]]:
    figure, finding = standing.figure, standing.finding
    label = _label(figure)
    yield "  ", (f"{label}: {standing.verdict.value}; " if label else "") + _compared(standing)
    if figure.missing:
        yield "    ", f"Cannot be verified: {figure.missing}"
        return
    for cause in finding.causes:
        amount = _signed(Fraction(cause.amount) / _scale(figure), figure.unit)
        yield "    ", f"{amount}  {cause.kind.value}: {cause.why}"
    for source in standing.sources:
        if "confidence" in source:
            yield "    ", f"Source: {source}"
    if finding.unexplained:
        yield "    ", f"{_signed(Fraction(finding.unexplained) / _scale(figure), figure.unit)}  unexplained"


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
        return f"{figure.expression} gives {_claimed(standing)}; found {measured(standing)}"
    return f"{said}{printed(standing)} is said; found {measured(standing)}"


def _filled(margin: str, standings: Sequence[Standing]) -> str:
    """Put the measured values into the margin."""
    values: dict[str, str] = {}
    for standing in reversed(standings):
        own = {"ours": measured(standing), "claimed": _claimed(standing), "factor": factor(standing)}
        names = {**standing.values, **own}
        values = values | names | {f"{standing.figure.of}.{k}": v for k, v in names.items() if standing.figure.of}
    for name, value in values.items():
        margin = margin.replace(f"{{{name}}}", value)
    return margin


def _claimed(standing: Standing) -> str:
    """Write what is said as a number."""
    claimed = standing.finding.claim.claimed
    if standing.figure.printed is not None or claimed is None:
        return printed(standing)
    return f"{_short(Fraction(claimed) / _scale(standing.figure))} {standing.figure.unit}".strip()


def _plain(figure: str) -> str:
    """Write a printed figure; where an exponent only says how many digits count, they are counted.

    Example:
        >>> _plain("4.5e2"), _plain("3.5e12"), _plain("350..400"), _plain("17.6")
        ('450 (to 2 digits)', '3.5e12', '350 to 400', '17.6')
    """
    mantissa, exponent, _ = figure.lower().partition("e")
    if not exponent or not 1 <= float(figure) < _MILLION:
        return figure.replace("..", " to ")
    digits = sum(map(str.isdigit, mantissa))
    return f"{float(figure):,.10g} (to {digits} digit{'s' if digits > 1 else ''})"


def _label(figure: Figure) -> str:
    return " · ".join(part for part in (figure.of, figure.reading) if part)


def _scale(figure: Figure) -> Fraction:
    from profiler.expressions import parse_unit  # noqa: PLC0415 - sympy takes its time

    number, _ = parse_unit(figure.unit).as_coeff_Mul()
    return Fraction(int(number.p), int(number.q))


def _short(value: Fraction) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}".replace("-", "−")
    return units.rounded(float(value)) if abs(value) < 10**6 else f"{float(value):.4g}"


def _signed(value: Fraction, unit: str) -> str:
    return f"{'+' if value > 0 else '−'}{_short(abs(value))} {unit}".strip()


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
