"""Format a figure of a document: the claimed value, the actual value, and their difference."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler import units

if TYPE_CHECKING:
    from profiler.documents import FigureResult, PrintedFigure

_MILLION = 10**6

#: A value beyond this is no float.
_LARGEST = 10**300


def printed(result: FigureResult) -> str:
    """Format what the document prints, with its unit; a formula is too long for a table."""
    figure = result.figure
    if figure.printed is not None:
        return units.with_unit(_printed_number(figure.printed), figure.unit)
    return "nothing" if figure.missing else "a formula"


def claimed(result: FigureResult) -> str:
    """Format the claimed value: what the document prints, or the value of its expression."""
    value = result.finding.claim.claimed
    if result.figure.printed is not None or value is None:
        return printed(result)
    return _format(Fraction(value), result.figure)


def actual(result: FigureResult) -> str:
    """Format the value that was measured, computed or looked up, with its unit."""
    return "nothing" if result.status else _format(Fraction(result.finding.ours), result.figure)


def actual_cell(result: FigureResult) -> str:
    """Format the actual value for a table, without its unit if the column of printed values shows it."""
    if result.status or result.figure.printed is None:
        return actual(result)
    return _short(Fraction(result.finding.ours) / scale(result.figure))


def factor(result: FigureResult) -> str:
    """Format the actual value relative to the claimed one; for a formula, the least and the greatest factor."""
    if result.ratios is not None:
        least, most = (1 / ratio if ratio else 0.0 for ratio in reversed(result.ratios))
        return f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
    value = result.finding.claim.claimed
    return f"{float(Fraction(result.finding.ours) / Fraction(value)):.3g}" if value else ""


def difference(value: Fraction, unit: str) -> str:
    """Format a difference, with its sign and unit."""
    return units.with_unit(f"{'+' if value > 0 else '−'}{_short(abs(value))}", unit)


def abbreviate(cell: str) -> str:
    """Abbreviate a cell of a table; the text below the table has it in full.

    Example:
        >>> abbreviate("450 (to 2 digits) GFLOP"), abbreviate("0.25 to 0.5"), abbreviate("4.7 M parameters")
        ('450 GFLOP', '0.25–0.5', '4.7 M params')
    """
    cell = re.sub(r" \(to \d+ digits?\)", "", cell)
    return re.sub(r"(?<=[\d.]) to (?=[\d.])", "–", cell).replace("parameter", "param")


def label(figure: PrintedFigure) -> str:
    """Return which figure of its claim this is, and in which reading; empty for the only one."""
    return " · ".join(part for part in (figure.of, figure.reading) if part)


def scale(figure: PrintedFigure) -> Fraction:
    """Return the unit of a figure in base units."""
    from profiler.expressions import parse_unit  # noqa: PLC0415 - sympy takes half a second to import

    number, _ = parse_unit(figure.unit).as_coeff_Mul()
    return Fraction(int(number.p), int(number.q))


def _printed_number(text: str) -> str:
    """Format a printed number; a small one with an exponent is written in full, with the number of its digits.

    Example:
        >>> _printed_number("4.5e2"), _printed_number("3.5e12"), _printed_number("350..400"), _printed_number("17.6")
        ('450 (to 2 digits)', '3.5e12', '350 to 400', '17.6')
    """
    mantissa, exponent, _ = text.lower().partition("e")
    if not exponent or not 1 <= float(text) < _MILLION:
        return text.replace("..", " to ")
    digits = sum(map(str.isdigit, mantissa))
    return f"{float(text):,.10g} (to {digits} digit{'s' if digits > 1 else ''})"


def _format(value: Fraction, figure: PrintedFigure) -> str:
    """Format a value in the unit of the figure; with a prefix that fits, if no printed number sets the unit."""
    if figure.printed is None and scale(figure) == 1 and value == int(value):
        return units.count(int(value), figure.unit)
    return units.with_unit(_short(value / scale(figure)), figure.unit)


def _short(value: Fraction) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= _LARGEST:
        return f"{'−' if value < 0 else ''}over 1e300"
    return units.rounded(float(value)) if abs(value) < 10**6 else f"{float(value):.4g}"
