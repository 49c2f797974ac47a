"""A closed form as text: the formula, the origins of its terms, what follows from it, and how it was verified."""

from __future__ import annotations

import re
from io import StringIO
from textwrap import fill
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from profiler import units
from profiler.derive.notation import SUPERSCRIPTS
from profiler.derive.quantities import CONTRACTION, POINTWISE
from profiler.derive.variables import format_point

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from profiler.derive.analysis import Crossover, LargestSize
    from profiler.derive.closed_form import Piece
    from profiler.derive.comparison import Comparison
    from profiler.derive.result import DerivationResult
    from profiler.derive.samples import Origin

#: Line width, least width of the first column, and the most origins of a term and verified points to list.
_WIDTH, _LEAST, _ORIGINS, _POINTS = 80, 20, 6, 40


def text(result: DerivationResult, width: int = _WIDTH) -> str:
    """Format the whole report, with lines of at most *width* characters."""
    form = result.form
    ranges = ", ".join(f"{result.notation.describe(v)} {v}" for v in form.variables)
    constants = ", ".join(f"{letter} = {value}" for letter, value in result.letters.items())
    heading = [f"{form.subject} · {form.unit} in {ranges}", *([f"letters: {constants}"] if constants else [])]
    blocks = ["\n".join(fill(line, width) for line in heading)]
    blocks += [_piece(piece, result, width) for piece in result.pieces]
    blocks.append(_consequences(result, width))
    if result.comparison is not None:
        blocks.append(_comparison(result.comparison, result, width))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _piece(piece: Piece, result: DerivationResult, width: int) -> str:
    """Format a piece: its formula by part, its terms with their origins, and its points."""
    notation = result.notation
    lines = []
    if len(result.pieces) > 1:
        whole = {v.name: v for v in result.form.variables}
        narrow = [f"{v.name} {v}" for v in piece.variables if len(v.sizes) < len(whole[v.name].sizes)]
        lines += [f"for {', '.join(narrow)}:", ""]
    for part in _parts(piece):
        name = part or result.form.quantity
        formula = notation.text({t.monomial: t.coefficient for t in piece.terms(part)})
        lines.append(_wrap(f"{name} = {formula}", width))
    lines += ["", _terms(piece, result, width), "", _points(piece, result, width)]
    return "\n".join(lines)


def _parts(piece: Piece) -> list[str] | list[None]:
    """List the parts to show apart; only None, the whole, if there is just one."""
    parts = [part for part in piece.parts if part]
    return parts if len(parts) > 1 else [None]


def _wrap(line: str, width: int) -> str:
    return fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _terms(piece: Piece, result: DerivationResult, width: int) -> str:
    """Format a table of the terms, with the origins of each below it."""
    rows: list[tuple[str, str]] = []
    for part in _parts(piece):
        for term in piece.terms(part):
            name = result.notation.monomial(term.monomial) + (f"  {part}" if part else "")
            rows.append((name, _number(term.coefficient)))
            rows += [(f"  {_origin(origin, result)}", _number(c)) for origin, c in _abridge(term.origins)]
    return _table(rows, ("term and its origins", "coefficient"), width)


def _abridge(origins: Sequence[tuple[Origin, Fraction]]) -> list[tuple[Origin, Fraction]]:
    """List the largest contributions to a term, and the sum of the others if there are many."""
    if len(origins) <= _ORIGINS:
        return list(origins)
    largest, rest = origins[: _ORIGINS - 1], origins[_ORIGINS - 1 :]
    others = rest[0][0]._replace(module=f"{len(rest)} others", operator="", part="")
    return [*largest, (others, sum((c for _, c in rest[1:]), rest[0][1]))]


def _origin(origin: Origin, result: DerivationResult) -> str:
    return " ".join(part for part in (origin.module or result.form.subject, origin.operator) if part)


def _points(piece: Piece, result: DerivationResult, width: int) -> str:
    """Report how many points a piece was derived from, and at which others it was verified."""
    if not piece.verified:
        return f"derived from all {len(piece.used)} points in the ranges; none is left to verify at"
    names = ", ".join(result.notation.letter(v.name) for v in piece.variables)
    points = [f"({', '.join(str(n) for n in point.values())})" for point in piece.verified[:_POINTS]]
    hidden = len(piece.verified) - len(points)
    more = f" and {hidden} more" if hidden else ""
    line = (
        f"derived from {len(piece.used)} points; verified at {len(piece.verified)} others, "
        f"({names}) = {', '.join(points)}{more}"
    )
    return fill(line, width, subsequent_indent="    ")


def _consequences(result: DerivationResult, width: int) -> str:
    """Report growth, crossovers and the largest size, and the notes."""
    lines = _growth(result)
    lines += [_crossover(crossover, result) for crossover in result.crossovers()]
    if result.largest is not None:
        lines.append(_largest(result.largest, result.form.unit))
    lines += [f"note: {note}" for note in result.form.notes]
    return "\n".join(fill(line, width, subsequent_indent="    ") for line in lines)


def _growth(result: DerivationResult) -> list[str]:
    growths = [(result.notation.letter(name), degree, float(local)) for name, degree, local in result.growths()]
    if not growths:
        return []
    asymptotic = ", ".join(f"{letter}{_power(degree)}" for letter, degree, _ in growths)
    local = ", ".join(f"{letter}^{exponent:.3f}" for letter, _, exponent in growths)
    return [f"grows asymptotically as {asymptotic}; locally as {local} at {format_point(result.point)}"]


def _crossover(crossover: Crossover, result: DerivationResult) -> str:
    letter = result.notation.letter(crossover.variable)
    solution = "" if crossover.solution is None else f" ({letter} = {_expression(str(crossover.solution))})"
    others = {name: size for name, size in result.point.items() if name != crossover.variable}
    at = f" for {format_point(others)}" if others else ""
    kind = f"{CONTRACTION} " if CONTRACTION in result.main.parts else ""
    return (
        f"the {kind}terms in {letter}{_power(crossover.power)} overtake the others at "
        f"{crossover.variable}={crossover.size:,}{solution}{at}"
    )


def _largest(largest: LargestSize, unit: str) -> str:
    beyond = "; this is beyond the verified sizes" if largest.is_beyond else ""
    return (
        f"at most {_number(largest.budget)} {unit}: {largest.variable}={largest.size:,} costs "
        f"{_number(largest.cost)}, the next size {_number(largest.next_cost)}{beyond}"
    )


def _comparison(comparison: Comparison, result: DerivationResult, width: int) -> str:
    """Report whether the formula equals the closed form, and where it differs."""
    if comparison.is_equal:
        how = f"at the {len(comparison.points)} sampled points" if comparison.points else "term by term"
        return f"the formula equals the closed form, {how}"
    if comparison.claimed is None:
        return fill(_different_points(comparison, result.form.unit), width)
    rows: list[tuple[str, str]] = []
    for d in comparison.differences:
        coefficient = _number(d.measured) if not d.claimed else f"{_number(d.claimed)} instead of {_number(d.measured)}"
        rows.append((f"{d.kind}  {result.notation.monomial(d.monomial)}", coefficient))
        rows += [
            (f"  {_origin(o, result)}{f' ({o.part})' if o.part else ''}", _number(c)) for o, c in _abridge(d.origins)
        ]
    return f"{_summary(comparison)}\n\n{_table(rows, ('difference and its origins', 'coefficient'), width)}"


def _different_points(comparison: Comparison, unit: str) -> str:
    """Report the first point at which a formula that is not a polynomial differs."""
    different = [(point, measured, claimed) for point, measured, claimed in comparison.points if measured != claimed]
    point, measured, claimed = different[0]
    value = f"gives {_number(claimed)} {unit}" if claimed is not None else "divides by zero"
    return (
        f"the formula is not a polynomial; it differs at {len(different)} of {len(comparison.points)} points: at "
        f"{format_point(point)} it {value}, but the model costs {_number(measured)}"
    )


def _summary(comparison: Comparison) -> str:
    parts = {o.part for d in comparison.differences for o, _ in d.origins}
    count = len(comparison.differences)
    if parts == {POINTWISE} and all(d.kind == "missing" for d in comparison.differences):
        terms = f"{count} pointwise terms" if count > 1 else "a pointwise term"
        return f"the formula has all contractions but lacks {terms}"
    return f"the formula differs in {count} {'terms' if count > 1 else 'term'}"


def _power(exponent: int) -> str:
    return str(exponent).translate(SUPERSCRIPTS) if exponent != 1 else ""


def _expression(text: str) -> str:
    """Format a sympy expression in the style of the other formulas."""
    raised = re.sub(r"\*\*(\d+)", lambda match: match[1].translate(SUPERSCRIPTS), text)
    return raised.replace("*", "·")


def _number(number: Fraction) -> str:
    whole = units.exact(number.numerator)
    return whole if number.denominator == 1 else f"{whole}/{number.denominator}"


def _table(rows: list[tuple[str, str]], columns: tuple[str, str], width: int) -> str:
    table = Table(box=box.HORIZONTALS, show_edge=False, padding=(0, 2, 0, 0), pad_edge=False)
    numbers = max(len(number) for _, number in [columns, *rows])
    names = max(len(name) for name, _ in [columns, *rows])
    table.add_column(columns[0], overflow="ellipsis", no_wrap=True, width=min(names, max(width - numbers - 4, _LEAST)))
    table.add_column(columns[1], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(
        file=StringIO(), width=max(width, numbers + _LEAST + 4), color_system=None, legacy_windows=False, markup=False
    )
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines())
