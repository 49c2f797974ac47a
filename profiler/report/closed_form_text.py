"""A closed form for a reader: the formula, where its terms come from, what follows, and how it was verified."""

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
from profiler.derive.variables import format_point

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from profiler.derive.closed_form import Piece
    from profiler.derive.comparison import Comparison
    from profiler.derive.result import DerivationResult
    from profiler.derive.samples import Origin

_WIDTH, _LEAST, _ORIGINS, _POINTS = 80, 20, 6, 40


def text(answers: DerivationResult, width: int = _WIDTH) -> str:
    """Write the whole report."""
    form = answers.form
    ranges = ", ".join(f"{answers.notation.introduce(v)} {v}" for v in form.variables)
    constants = ", ".join(f"{letter} = {value}" for letter, value in answers.letters.items())
    heading = [f"{form.subject} · {form.unit} in {ranges}", *([f"letters: {constants}"] if constants else [])]
    blocks = ["\n".join(fill(line, width) for line in heading)]
    blocks += [_piece(piece, answers, width) for piece in answers.pieces]
    blocks.append(_consequences(answers, width))
    if answers.comparison is not None:
        blocks.append(_comparison(answers.comparison, answers, width))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _piece(piece: Piece, answers: DerivationResult, width: int) -> str:
    """Write a piece: its formula by parts, its terms, and its points."""
    notation = answers.notation
    parts = [kind for kind in piece.kinds if kind]
    lines = []
    if len(answers.pieces) > 1:
        whole = {v.name: v for v in answers.form.variables}
        narrow = [f"{v.name} {v}" for v in piece.variables if len(v.sizes) < len(whole[v.name].sizes)]
        lines += [f"for {', '.join(narrow)}:", ""]
    for kind in parts if len(parts) > 1 else [None]:
        name = kind or answers.form.quantity
        written = notation.text({t.monomial: t.coefficient for t in piece.terms(kind)})
        lines.append(_wrap(f"{name} = {written}", width))
    lines += ["", _terms(piece, answers, width), "", _points(piece, answers, width)]
    return "\n".join(lines)


def _wrap(line: str, width: int) -> str:
    return fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _terms(piece: Piece, answers: DerivationResult, width: int) -> str:
    """Write each term, and below it where it comes from."""
    rows: list[tuple[str, str]] = []
    parts = [kind for kind in piece.kinds if kind]
    for kind in parts if len(parts) > 1 else [None]:
        for term in piece.terms(kind):
            name = answers.notation.monomial(term.monomial) + (f"  {kind}" if kind else "")
            rows.append((name, _number(term.coefficient)))
            rows += [(f"  {_origin(origin, answers)}", _number(c)) for origin, c in _shown(term.origins)]
    return _table(rows, ("term, and where it comes from", "coefficient"), width)


def _shown(origins: Sequence[tuple[Origin, Fraction]]) -> list[tuple[Origin, Fraction]]:
    """List where a term comes from; the smallest of many as one."""
    if len(origins) <= _ORIGINS:
        return list(origins)
    kept, rest = origins[: _ORIGINS - 1], origins[_ORIGINS - 1 :]
    other = rest[0][0]._replace(module=f"{len(rest)} others", operator="", part="")
    return [*kept, (other, sum((c for _, c in rest[1:]), rest[0][1]))]


def _origin(origin: Origin, answers: DerivationResult) -> str:
    return " ".join(part for part in (origin.module or answers.form.subject, origin.operator) if part)


def _points(piece: Piece, answers: DerivationResult, width: int) -> str:
    """List the points at which the formula was held against the model."""
    if not piece.verified:
        return f"measured at every size, {len(piece.used)} points"
    names = ", ".join(answers.notation.letter(v.name) for v in piece.variables)
    shown = [f"({', '.join(str(n) for n in point.values())})" for point in piece.verified[:_POINTS]]
    hidden = len(piece.verified) - len(shown)
    more = f" and {hidden} more" if hidden else ""
    line = (
        f"found from {len(piece.used)} points; verified at {len(piece.verified)} others, "
        f"({names}) = {', '.join(shown)}{more}"
    )
    return fill(line, width, subsequent_indent="    ")


def _consequences(answers: DerivationResult, width: int) -> str:
    """Write growth, crossovers and the largest size."""
    notation = answers.notation
    lines = []
    growths = [(notation.letter(name), power, float(exponent)) for name, power, exponent in answers.growths()]
    if growths:
        end = ", ".join(f"{letter}{_power(power)}" for letter, power, _ in growths)
        here = ", ".join(f"{letter}^{exponent:.3f}" for letter, _, exponent in growths)
        lines.append(f"grows as {end} in the end, and as {here} at {format_point(answers.point)}")
    for found in answers.crossovers():
        letter = notation.letter(found.variable)
        exactly = f" ({letter} = {_expression(str(found.format_point))})" if found.format_point is not None else ""
        others = {name: size for name, size in answers.point.items() if name != found.variable}
        at = f" at {format_point(others)}" if others else ""
        what = "contractions' " if "contraction" in answers.main.kinds else ""
        lines.append(
            f"the {what}terms in {letter}{_power(found.power)} overtake the others at "
            f"{found.variable}={found.size:,}{exactly}{at}"
        )
    if answers.largest is not None:
        answer, budget = answers.largest
        beyond = "; beyond the sizes that were verified" if answer.is_beyond else ""
        lines.append(
            f"at most {_number(budget)} {answers.form.unit}: {answer.variable}={answer.size:,} "
            f"({_number(answer.cost)}; one more: {_number(answer.next_cost)}){beyond}"
        )
    lines += [f"note: {note}" for note in answers.form.notes]
    return "\n".join(fill(line, width, subsequent_indent="    ") for line in lines)


def _comparison(comparison: Comparison, answers: DerivationResult, width: int) -> str:
    """Say whether the formula is equal, and list the terms in which it differs."""
    unit = answers.form.unit
    if comparison.is_equal:
        held = f"at the {len(comparison.points)} points measured" if comparison.points else "term by term"
        return f"the formula is equal, {held}"
    if comparison.claimed is None:
        wrong = [(p, m, c) for p, m, c in comparison.points if m != c]
        point, measured, claimed = wrong[0]
        said = f"{_number(claimed)} {unit}" if claimed is not None else "no number"
        return fill(
            f"the formula is no polynomial, and differs at {len(wrong)} of {len(comparison.points)} points: at "
            f"{format_point(point)} it says {said}, and the model costs {_number(measured)}",
            width,
        )
    rows: list[tuple[str, str]] = []
    for d in comparison.differences:
        coefficient = _number(d.measured) if not d.claimed else f"{_number(d.claimed)}, not {_number(d.measured)}"
        rows.append((f"{d.kind}  {answers.notation.monomial(d.monomial)}", coefficient))
        rows += [
            (f"  {_origin(o, answers)}{f' ({o.part})' if o.part else ''}", _number(c)) for o, c in _shown(d.origins)
        ]
    parts = {o.part for d in comparison.differences for o, _ in d.origins}
    several = len(comparison.differences)
    terms = f"{several} pointwise terms" if several > 1 else "a pointwise term"
    if parts == {"pointwise"} and all(d.kind == "missing" for d in comparison.differences):
        summary = f"the formula has all contractions, and lacks {terms}"
    else:
        summary = f"the formula differs in {several} {'terms' if several > 1 else 'term'}"
    return f"{summary}\n\n{_table(rows, ('difference, and where it comes from', 'coefficient'), width)}"


def _power(exponent: int) -> str:
    return str(exponent).translate(SUPERSCRIPTS) if exponent != 1 else ""


def _expression(text: str) -> str:
    """Write a sympy expression as the other formulas are."""
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
