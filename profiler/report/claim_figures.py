"""A figure of a document in words: what is printed, what is found, and how far they are apart."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler import units

if TYPE_CHECKING:
    from profiler.documents import FigureResult, PrintedFigure

_MILLION = 10**6


def printed(result: FigureResult) -> str:
    """Write what is printed, with its unit; a formula is too long for a table."""
    figure = result.figure
    if figure.printed is not None:
        return f"{_plain(figure.printed)} {figure.unit}".strip()
    return "nothing" if figure.missing else "a formula"


def measured(result: FigureResult) -> str:
    """Write what is found, in the unit that is printed."""
    if result.status:
        return "nothing"
    figure, value = result.figure, Fraction(result.finding.ours)
    if figure.printed is None and scale(figure) == 1 and value == int(value):
        return units.count(int(value), figure.unit)
    return f"{_short(value / scale(figure))} {figure.unit}".strip()


def factor(result: FigureResult) -> str:
    """Write how many times what is printed is found; a formula's least and most."""
    if result.ratios is not None:
        least, most = (1 / ratio if ratio else 0.0 for ratio in reversed(result.ratios))
        return f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
    claimed = result.finding.claim.claimed
    return f"{float(Fraction(result.finding.ours) / Fraction(claimed)):.3g}" if claimed else ""


def shortest(cell: str) -> str:
    """Write a cell as short as it can be: what it leaves out stands in the story of the claim.

    Example:
        >>> shortest("450 (to 2 digits) GFLOP"), shortest("0.25 to 0.5"), shortest("4.7 Mparameter")
        ('450 GFLOP', '0.25–0.5', '4.7 Mparam')
    """
    cell = re.sub(r" \(to \d+ digits?\)", "", cell)
    return re.sub(r"(?<=[\d.]) to (?=[\d.])", "–", cell).replace("parameter", "param")


def stated(result: FigureResult) -> str:
    """Write what is said as a number."""
    claimed = result.finding.claim.claimed
    if result.figure.printed is not None or claimed is None:
        return printed(result)
    return f"{_short(Fraction(claimed) / scale(result.figure))} {result.figure.unit}".strip()


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


def named(figure: PrintedFigure) -> str:
    """Write which figure of a claim it is, in which reading."""
    return " · ".join(part for part in (figure.of, figure.reading) if part)


def scale(figure: PrintedFigure) -> Fraction:
    """Say how many base units the unit of a figure is."""
    from profiler.expressions import parse_unit  # noqa: PLC0415 - sympy takes its time

    number, _ = parse_unit(figure.unit).as_coeff_Mul()
    return Fraction(int(number.p), int(number.q))


def _short(value: Fraction) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}".replace("-", "−")
    return units.rounded(float(value)) if abs(value) < 10**6 else f"{float(value):.4g}"


def difference(value: Fraction, unit: str) -> str:
    """Write a difference, with its sign and unit."""
    return f"{'+' if value > 0 else '−'}{_short(abs(value))} {unit}".strip()
