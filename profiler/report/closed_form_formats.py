"""A closed form as LaTeX, Python and JSON; as text it is in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from profiler.derive.polynomials import evaluate
from profiler.derive.result import DerivationResult
from profiler.report.closed_form_text import text

if TYPE_CHECKING:
    from profiler.derive.closed_form import Piece, Term
    from profiler.derive.comparison import Comparison
    from profiler.derive.variables import Point, Variable

SCHEMA = "profiler-form/1"


def latex(answers: DerivationResult) -> str:
    """Write an equation; one with cases where there are several pieces."""
    notation = answers.notation
    quantity = answers.form.quantity.replace("_", r"\_")
    name = rf"\mathrm{{{quantity}}}"
    bodies = [notation.latex({t.monomial: t.coefficient for t in piece.terms()}) for piece in answers.pieces]
    if len(bodies) == 1:
        return f"{name} = {bodies[0]}\n"
    conditions = [_condition(piece, answers, r" \le ", r",\ ") for piece in answers.pieces]
    cases = [rf"{body} & \text{{for }} {where}" for body, where in zip(bodies, conditions, strict=True)]
    return f"{name} = \\begin{{cases}}\n" + " \\\\\n".join(cases) + "\n\\end{cases}\n"


def python(answers: DerivationResult) -> str:
    """Write a function of exact integers, with letters as arguments that have their value."""
    notation = answers.notation
    names = [notation.letter(v.name) for v in answers.form.variables]
    given = [f"{letter}={value}" for letter, value in answers.letters.items()]
    lines = [
        f"def {answers.form.quantity}({', '.join([*names, *given])}):",
        f'    """{answers.form.unit} of {answers.form.subject}: {_ranges(answers)}."""',
    ]
    for piece in answers.pieces:
        body = notation.python({t.monomial: t.coefficient for t in piece.terms()})
        if len(answers.pieces) > 1:
            lines += [f"    if {_condition(piece, answers, ' <= ', ' and ')}:", f"        return {body}"]
        else:
            lines.append(f"    return {body}")
    if len(answers.pieces) > 1:
        lines.append('    raise ValueError("outside of the sizes for which this was derived")')
    return "\n".join(lines) + "\n"


def to_json(answers: DerivationResult) -> str:
    """Write everything; integers where coefficients are whole, and text such as "1/2" where they are not."""
    form = answers.form
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "model": form.subject,
        "quantity": form.quantity,
        "unit": form.unit,
        "variables": [_variable(v) for v in form.variables],
        "letters": answers.letters,
        "notes": list(form.notes),
        "pieces": [_piece(piece, answers) for piece in answers.pieces],
        "growth": [
            {"variable": name, "degree": power, "exponent": float(exponent), "at": answers.point}
            for name, power, exponent in answers.growths()
        ],
        "crossovers": [
            {"variable": c.variable, "power": c.power, "size": c.size, "place": c.format_point and str(c.format_point)}
            for c in answers.crossovers()
        ],
    }
    if answers.comparison is not None:
        document["comparison"] = _comparison(answers.comparison, answers)
    if answers.largest is not None:
        answer, budget = answers.largest
        document["at_most"] = {
            "budget": _number(budget),
            "variable": answer.variable,
            "size": answer.size,
            "cost": _number(answer.cost),
            "next_cost": _number(answer.next_cost),
            "is_beyond": answer.is_beyond,
        }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[DerivationResult], str]] = {
    "text": text,
    "latex": latex,
    "python": python,
    "json": to_json,
}


def _variable(variable: Variable) -> dict[str, Any]:
    sizes = variable.sizes
    step = {"step": sizes.step} if isinstance(sizes, range) else {"sizes": list(sizes)}
    ends = {"low": variable.low, "high": variable.high, "base": variable.base}
    return {"name": variable.name, "letter": variable.letter, **ends, **step}


def _piece(piece: Piece, answers: DerivationResult) -> dict[str, Any]:
    notation = answers.notation
    terms = piece.terms()
    polynomial = {t.monomial: t.coefficient for t in terms}
    return {
        "variables": [_variable(v) for v in piece.variables],
        "text": notation.text(polynomial),
        "formula": notation.formula(polynomial),
        "parts": {kind: _formula(piece.terms(kind), answers) for kind in piece.kinds if kind},
        "terms": [_term(t, answers) for t in terms],
        "used": list(piece.used),
        "verified": [{"at": point, "cost": _number(_cost(piece, answers, point))} for point in piece.verified],
    }


def _formula(terms: list[Term], answers: DerivationResult) -> str:
    return answers.notation.formula({term.monomial: term.coefficient for term in terms})


def _term(term: Term, answers: DerivationResult) -> dict[str, Any]:
    return {
        "term": answers.notation.formula({term.monomial: Fraction(1)}),
        "coefficient": _number(term.coefficient),
        "origins": [
            {"module": o.module, "operator": o.operator, "part": o.part, "coefficient": _number(c)}
            for o, c in term.origins
        ],
    }


def _cost(piece: Piece, answers: DerivationResult, point: Point) -> Fraction:
    return evaluate(piece.total, {**answers.letters, **point})


def _comparison(comparison: Comparison, answers: DerivationResult) -> dict[str, Any]:
    notation = answers.notation
    return {
        "equal": comparison.is_equal,
        "differences": [
            {
                "kind": d.kind,
                "term": notation.formula({d.monomial: Fraction(1)}),
                "measured": _number(d.measured),
                "claimed": _number(d.claimed),
                "origins": [
                    {"module": o.module, "operator": o.operator, "part": o.part, "coefficient": _number(c)}
                    for o, c in d.origins
                ],
            }
            for d in comparison.differences
        ],
        "points": [
            {"at": point, "measured": _number(measured), "claimed": None if claimed is None else _number(claimed)}
            for point, measured, claimed in comparison.points
        ],
    }


def _number(number: Fraction) -> int | str:
    return number.numerator if number.denominator == 1 else str(number)


def _condition(piece: Piece, answers: DerivationResult, sign: str, join: str) -> str:
    whole = {v.name: v for v in answers.form.variables}
    narrow = [v for v in piece.variables if len(v.sizes) < len(whole[v.name].sizes)]
    return join.join(f"{v.low}{sign}{answers.notation.letter(v.name)}{sign}{v.high}" for v in narrow)


def _ranges(answers: DerivationResult) -> str:
    return ", ".join(f"{answers.notation.introduce(v)} {v}" for v in answers.form.variables)
