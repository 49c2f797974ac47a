"""The formats of a closed form: text, Markdown, LaTeX, Python, CSV and JSON. To add one, register a function here."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from profiler.derive.polynomials import evaluate
from profiler.derive.result import DerivationResult
from profiler.escaping import markdown as markdown_text
from profiler.report.closed_form_text import text
from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page

if TYPE_CHECKING:
    from profiler.derive.analysis import LargestSize
    from profiler.derive.closed_form import Piece, Term
    from profiler.derive.comparison import Comparison, Difference
    from profiler.derive.samples import Origin
    from profiler.derive.variables import Point, Variable
    from profiler.report.tables import Side

SCHEMA = "profiler-form/1"
CLOSED_FORM_FORMATS = Formats[DerivationResult]()
CLOSED_FORM_FORMATS.register("text")(text)


@CLOSED_FORM_FORMATS.register("latex")
def latex(result: DerivationResult) -> str:
    """Format as an equation; with several pieces, as one with cases."""
    notation = result.notation
    quantity = result.form.quantity.replace("_", r"\_")
    name = rf"\mathrm{{{quantity}}}"
    bodies = [notation.latex({t.monomial: t.coefficient for t in piece.terms()}) for piece in result.pieces]
    if len(bodies) == 1:
        return f"{name} = {bodies[0]}\n"
    conditions = [_condition(piece, result, r" \le ", r",\ ") for piece in result.pieces]
    cases = [rf"{body} & \text{{for }} {condition}" for body, condition in zip(bodies, conditions, strict=True)]
    return f"{name} = \\begin{{cases}}\n" + " \\\\\n".join(cases) + "\n\\end{cases}\n"


@CLOSED_FORM_FORMATS.register("python")
def python(result: DerivationResult) -> str:
    """Format as a Python function of integers; letters of constants are arguments with a default."""
    notation = result.notation
    names = [notation.letter(v.name) for v in result.form.variables]
    defaults = [f"{letter}={value}" for letter, value in result.letters.items()]
    lines = [
        f"def {result.form.quantity}({', '.join([*names, *defaults])}):",
        f'    """{result.form.unit} of {result.form.subject}: {_ranges(result)}."""',
    ]
    for piece in result.pieces:
        body = notation.python({t.monomial: t.coefficient for t in piece.terms()})
        if len(result.pieces) > 1:
            lines += [f"    if {_condition(piece, result, ' <= ', ' and ')}:", f"        return {body}"]
        else:
            lines.append(f"    return {body}")
    if len(result.pieces) > 1:
        lines.append('    raise ValueError("outside the sizes for which this was derived")')
    return "\n".join(lines) + "\n"


@CLOSED_FORM_FORMATS.register("csv")
def to_csv(result: DerivationResult) -> str:
    """Format as a line a term, with the ranges of the sizes in which it holds."""
    return csv_table(("piece", "where", "term", "coefficient"), _term_rows(result))


@CLOSED_FORM_FORMATS.register("markdown")
def to_markdown(result: DerivationResult) -> str:
    """Format as the equation, and a table of its terms."""
    columns: dict[str, Side] = {"piece": "right", "where": "left", "term": "left", "coefficient": "right"}
    rows = [tuple(map(str, row)) for row in _term_rows(result)]
    heading = f"{result.form.quantity} ({result.form.unit}) of {result.form.subject}: {_ranges(result)}"
    return page(markdown_text(heading), f"$$\n{latex(result)}$$", markdown_table(columns, rows))


def _term_rows(result: DerivationResult) -> list[tuple[int, str, str, int | str]]:
    return [
        (number, _condition(piece, result, " <= ", " and "), row["term"], row["coefficient"])
        for number, piece in enumerate(result.pieces, 1)
        for row in (_term(term, result) for term in piece.terms())
    ]


@CLOSED_FORM_FORMATS.register("json")
def to_json(result: DerivationResult) -> str:
    """Format everything as JSON; a coefficient that is not an integer is a string such as "1/2"."""
    form = result.form
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "model": form.subject,
        "quantity": form.quantity,
        "unit": form.unit,
        "variables": [_variable(v) for v in form.variables],
        "letters": result.letters,
        "notes": list(form.notes),
        "pieces": [_piece(piece, result) for piece in result.pieces],
        "growth": [
            {"variable": name, "degree": power, "exponent": float(exponent), "at": result.point}
            for name, power, exponent in result.growths()
        ],
        "crossovers": [
            {"variable": c.variable, "power": c.power, "size": c.size, "place": c.solution and str(c.solution)}
            for c in result.crossovers()
        ],
    }
    if result.comparison is not None:
        document["comparison"] = _comparison(result.comparison, result)
    if result.largest is not None:
        document["at_most"] = _largest(result.largest)
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _variable(variable: Variable) -> dict[str, Any]:
    sizes = variable.sizes
    step = {"step": sizes.step} if isinstance(sizes, range) else {"sizes": list(sizes)}
    ends = {"low": variable.low, "high": variable.high, "base": variable.base}
    return {"name": variable.name, "letter": variable.letter, **ends, **step}


def _piece(piece: Piece, result: DerivationResult) -> dict[str, Any]:
    notation = result.notation
    terms = piece.terms()
    polynomial = {t.monomial: t.coefficient for t in terms}
    return {
        "variables": [_variable(v) for v in piece.variables],
        "text": notation.text(polynomial),
        "formula": notation.formula(polynomial),
        "parts": {part: _formula(piece.terms(part), result) for part in piece.parts if part},
        "terms": [_term(t, result) for t in terms],
        "used": list(piece.used),
        "verified": [{"at": point, "cost": _number(_cost(piece, result, point))} for point in piece.verified],
    }


def _formula(terms: list[Term], result: DerivationResult) -> str:
    return result.notation.formula({term.monomial: term.coefficient for term in terms})


def _term(term: Term, result: DerivationResult) -> dict[str, Any]:
    return {
        "term": result.notation.formula({term.monomial: Fraction(1)}),
        "coefficient": _number(term.coefficient),
        "origins": _origins(term.origins),
    }


def _origins(origins: tuple[tuple[Origin, Fraction], ...]) -> list[dict[str, Any]]:
    return [{"module": o.module, "operator": o.operator, "part": o.part, "coefficient": _number(c)} for o, c in origins]


def _cost(piece: Piece, result: DerivationResult, point: Point) -> Fraction:
    return evaluate(piece.total, {**result.letters, **point})


def _comparison(comparison: Comparison, result: DerivationResult) -> dict[str, Any]:
    return {
        "equal": comparison.is_equal,
        "differences": [_difference(difference, result) for difference in comparison.differences],
        "points": [
            {"at": point, "measured": _number(measured), "claimed": None if claimed is None else _number(claimed)}
            for point, measured, claimed in comparison.points
        ],
    }


def _difference(difference: Difference, result: DerivationResult) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "term": result.notation.formula({difference.monomial: Fraction(1)}),
        "measured": _number(difference.measured),
        "claimed": _number(difference.claimed),
        "origins": _origins(difference.origins),
    }


def _largest(largest: LargestSize) -> dict[str, Any]:
    return {
        "budget": _number(largest.budget),
        "variable": largest.variable,
        "size": largest.size,
        "cost": _number(largest.cost),
        "next_cost": _number(largest.next_cost),
        "is_beyond": largest.is_beyond,
    }


def _number(number: Fraction) -> int | str:
    return number.numerator if number.denominator == 1 else str(number)


def _condition(piece: Piece, result: DerivationResult, less_equal: str, conjunction: str) -> str:
    """Format the condition on the variables whose range is split between the pieces."""
    whole = {v.name: v for v in result.form.variables}
    narrow = [v for v in piece.variables if len(v.sizes) < len(whole[v.name].sizes)]
    return conjunction.join(f"{v.low}{less_equal}{result.notation.letter(v.name)}{less_equal}{v.high}" for v in narrow)


def _ranges(result: DerivationResult) -> str:
    return ", ".join(f"{result.notation.describe(v)} {v}" for v in result.form.variables)
