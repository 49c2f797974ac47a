"""What follows from a closed form: letters, notations, comparisons and solutions."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.derive import CeilStep, ClosedForm, Origin, Variable, derive
from profiler.derive.analysis import find_crossover, find_largest_size, growth_exponents
from profiler.derive.comparison import compare
from profiler.derive.constants import express_in
from profiler.derive.notation import Notation
from profiler.derive.options import read_budget, read_letters, read_point
from profiler.derive.polynomials import evaluate, multiply_monomials, power
from profiler.derive.result import DerivationResult
from profiler.errors import DerivationError, InputError, ProfilerError
from profiler.expressions import parse
from profiler.report.closed_form_formats import CLOSED_FORM_FORMATS

B = Variable("batch", range(1, 9), 1, "B")
S = Variable("sequence", range(2, 1025), 1024, "S")
R = Variable("resolution", range(56, 449), 224, "R")
BLOCK, ATTENTION, NORM = (
    Origin("h.*.mlp", "addmm", "contraction"),
    Origin("h.*.attn", "bmm", "contraction"),
    Origin("h.*.ln", "native_layer_norm", "pointwise"),
)
E = 768


def transformer(point):
    b, s = point["batch"], point["sequence"]
    return {BLOCK: 24 * b * s * E**2, ATTENTION: 4 * b * s**2 * E, NORM: 7 * b * s * E}


def form(cost=transformer, variables=(B, S)):
    derivation = derive(cost, variables)
    return ClosedForm("model", "flops", "FLOP", derivation.variables, derivation.pieces)


@pytest.fixture(scope="module")
def attention():
    return form()


def expressed(number, **letters):
    notation = Notation(dict.fromkeys(letters) | {letter: letter for letter in letters})
    polynomial = express_in({(): Fraction(number)}, letters)
    return notation.text(dict(sorted(polynomial.items(), key=lambda item: -evaluate(dict([item]), letters))))


@pytest.mark.parametrize(
    ("number", "letters", "expected"),
    [
        (24 * 768**2, {"E": 768}, "24·E²"),
        (6 * 768**2 + 3 * 768, {"E": 768}, "6·E² + 3·E"),
        (50257 * 768, {"E": 768, "V": 50257}, "E·V"),
        (2 * 768 * 3072, {"E": 768, "F": 3072}, "2·E·F"),
        (1000, {"E": 768}, "1,000"),
        (259072, {"E": 4096, "V": 128256}, "259,072"),  # 2·V + 2560 would be chance
        (12 * (7 * 768 + 1), {"E": 768}, "84·E + 12"),  # twelve norms
        (1, {"E": 768}, "1"),
    ],
)
def test_constants_are_written_in_letters(number, letters, expected):
    assert expressed(number, **letters) == expected


@given(st.integers(-(10**15), 10**15).filter(bool), st.integers(2, 10**5), st.integers(2, 10**5))
def test_an_expression_in_letters_is_an_identity(number, first, second):
    letters = {"E": first, "V": second}
    assert evaluate(express_in({(): Fraction(number, 3)}, letters), letters) == Fraction(number, 3)


SAMPLE = {
    multiply_monomials(power(CeilStep("batch"), 1), power(CeilStep("resolution", -4, 5), 2)): Fraction(3, 2),
    power(CeilStep("sequence"), 3): Fraction(-1),
    (): Fraction(1000),
}
NOTATION = Notation({"batch": "B", "sequence": "S", "resolution": "R"})


def test_the_notations():
    assert NOTATION.text(SAMPLE) == "3/2·B·⌈(R-4)/5⌉² - S³ + 1,000"
    assert NOTATION.formula(SAMPLE) == "3/2*B*ceil((R-4)/5)**2 - S**3 + 1000"
    assert NOTATION.latex(SAMPLE) == r"\frac{3}{2}\,B\,\left\lceil \frac{R-4}{5} \right\rceil^{2} - S^{3} + 1000"
    assert NOTATION.text({}) == "0"


@pytest.mark.parametrize("point", [(1, 2, 3), (7, 10, 99), (2, 1, 4)])
def test_python_and_formula_give_the_value(point):
    b, s, r = point
    expected = Fraction(3 * b * math.ceil((r - 4) / 5) ** 2, 2) - s**3 + 1000
    values = dict(zip("BSR", point, strict=True))
    if expected.denominator == 1:
        assert eval(NOTATION.python(SAMPLE), values) == expected  # noqa: S307 - it is to be Python
    formula = parse(NOTATION.formula(SAMPLE))
    value = formula.subs({symbol: values[symbol.name] for symbol in formula.free_symbols})
    assert Fraction(int(value.p), int(value.q)) == expected


NAMES = {"B": "batch", "S": "sequence", "R": "resolution"}


def test_an_equal_formula_is_equal_in_letters_and_in_numbers(attention):
    letters = {"E": E}
    for text in ("24*B*S*E**2 + 4*B*S**2*E + 7*B*S*E", "B*S*(14155776+5376) + 3072*B*S**2", "4*B*S*E*(6*E + S + 7/4)"):
        assert compare(attention.pieces[0], parse(text), NAMES, letters).is_equal


def test_missing_spurious_and_other_terms_have_their_origin(attention):
    comparison = compare(attention.pieces[0], parse("16*B*S*E**2 + 4*B*S**2*E + 5*B*S**3"), NAMES, {"E": E})
    differences = {
        (d.kind, NOTATION.monomial(d.monomial)): (d.measured, d.claimed, [o for o, _ in d.origins])
        for d in comparison.differences
    }
    assert differences == {
        ("other coefficient", "B·S·E²"): (24, 16, [BLOCK]),
        ("missing", "B·S·E"): (7, 0, [NORM]),
        ("spurious", "B·S³"): (0, 5, []),
    }
    assert not comparison.is_equal


def test_a_formula_in_steps_is_compared_in_steps():
    steps = form(lambda p: {BLOCK: 9408 * p["batch"] * (-(-p["resolution"] // 32)) ** 2}, (B, R))
    assert compare(steps.pieces[0], parse("9408*B*ceil(R/32)**2"), NAMES, {}).is_equal
    assert not compare(steps.pieces[0], parse("9408*B*(R/32)**2"), NAMES, {}).is_equal


@pytest.mark.parametrize(
    ("text", "is_equal"),
    [
        ("7*ceil((R-9)/10)**2", True),  # a kernel of 10 and a stride of 10: floor((R-10)/10) + 1
        ("7*(ceil((R+1)/10) - 1)**2", True),
        ("7*(ceil(R/10 - 19/10) + 1)**2", True),
        ("7*ceil(R/10)**2", False),
        ("7*ceil((R-8)/10)**2", False),
    ],
)
def test_the_offset_of_a_step_matters_and_whole_steps_do_not(text, is_equal):
    strided = form(lambda p: {BLOCK: 7 * ((p["resolution"] - 10) // 10 + 1) ** 2}, (R,))
    assert compare(strided.pieces[0], parse(text), NAMES, {}).is_equal == is_equal


def test_on_multiples_a_step_is_the_quotient():
    multiples = Variable("resolution", range(28, 449, 14), 224, "R")
    patches = form(lambda p: {BLOCK: 6 * (p["resolution"] // 14) ** 2}, (multiples,))
    assert NOTATION.text(patches.pieces[0].total) == "6·⌈R/14⌉²"
    for text in ("6*(R/14)**2", "6*ceil(R/14)**2", "3*R**2/98"):
        assert compare(patches.pieces[0], parse(text), NAMES, {}).is_equal


def test_a_formula_that_is_no_polynomial_is_compared_at_the_points(attention):
    equal = "max(24*B*S*E**2, 1) + 4*B*S**2*E + 7*B*S*E"
    assert compare(attention.pieces[0], parse(equal), NAMES, {"E": E}).is_equal
    comparison = compare(attention.pieces[0], parse("24*B*S*E**2 + 4*B*min(S, 512)**2*E + 7*B*S*E"), NAMES, {"E": E})
    wrong = [point["sequence"] for point, measured, claimed in comparison.points if measured != claimed]
    assert not comparison.is_equal
    assert min(wrong) > 512


def test_the_largest_size_is_the_last_within_the_budget(attention):
    for budget in (10**10, 10**12, 14161152 * 2 + 12288, 10**14):
        largest = find_largest_size(attention, S, Fraction(budget), {"batch": 1, "sequence": 1024})
        cost = lambda n: sum(transformer({"batch": 1, "sequence": n}).values())
        assert largest.cost == cost(largest.size) <= budget < cost(largest.size + 1) == largest.next_cost
        assert largest.is_beyond == (largest.size > 1024)


def test_the_largest_size_keeps_to_the_steps_of_a_range():
    even = Variable("sequence", range(2, 1025, 2), 1024, "S")
    largest = find_largest_size(
        form(lambda p: {BLOCK: 3 * p["sequence"]}, (even,)), even, Fraction(100), {"sequence": 2}
    )
    assert (largest.size, largest.next_cost) == (32, 102)


def test_the_largest_size_is_found_across_pieces():
    window = form(lambda p: {ATTENTION: sum(min(n, 100) for n in range(1, p["sequence"] + 1))}, (S,))
    largest = find_largest_size(window, S, Fraction(5050 + 150), {"sequence": 2})
    assert (largest.size, largest.cost) == (101, 5150)


def test_a_budget_below_the_smallest_size_is_refused(attention):
    with pytest.raises(DerivationError, match="sequence=2 already costs"):
        find_largest_size(attention, S, Fraction(1), {"batch": 1, "sequence": 1024})


def test_a_cost_that_falls_has_no_largest_size():
    falling = form(lambda p: {BLOCK: 10**9 - p["sequence"]}, (S,))
    with pytest.raises(DerivationError, match="may fall"):
        find_largest_size(falling, S, Fraction(10**12), {"sequence": 2})


def test_attention_overtakes_the_rest_at_six_times_the_width(attention):
    contractions = attention.pieces[0].of_part("contraction")
    crossover = find_crossover(
        express_in(contractions, {"E": E}), "sequence", {"batch": 1, "sequence": 2, "E": E}, NOTATION
    )
    assert (crossover.size, crossover.power, str(crossover.solution)) == (6 * E, 2, "6*E")


def test_linear_terms_overtake_nothing(attention):
    assert find_crossover(attention.pieces[0].total, "batch", {"batch": 1, "sequence": 2}, NOTATION) is None


def test_growth_is_the_asymptotic_and_the_local_exponent(attention):
    whole = attention.pieces[0].total
    assert growth_exponents(whole, "batch", {"batch": 3, "sequence": 100}) == (1, 1)
    # d log f / d log S of a·S + b·S² is 1 + b·S / (a + b·S)
    a, b, s = 24 * E**2 + 7 * E, 4 * E, 1000
    assert growth_exponents(whole, "sequence", {"batch": 3, "sequence": s}) == (2, 1 + Fraction(b * s, a + b * s))


@pytest.fixture(scope="module")
def result(attention):
    return DerivationResult(attention, {"E": E}, {"batch": 1, "sequence": 1024})


def test_the_text_has_formula_origins_and_points_within_eighty_columns(result):
    text = CLOSED_FORM_FORMATS.render(result, "text")
    assert "contraction = 24·B·S·E² + 4·B·S²·E" in text or "contraction = 4·B·S²·E + 24·B·S·E²" in text
    assert "pointwise = 7·B·S·E" in text
    assert "h.*.mlp addmm" in text
    assert "(S = 6·E)" in text
    assert "verified at" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_text_of_a_comparison_says_how_it_was_made(attention, result):
    def report(formula):
        comparison = compare(attention.pieces[0], parse(formula), NAMES, {"E": E})
        return CLOSED_FORM_FORMATS.render(replace(result, comparison=comparison), "text")

    assert "the formula equals the closed form, term by term" in report("24*B*S*E**2 + 4*B*S**2*E + 7*B*S*E")
    assert "the formula has all contractions but lacks a pointwise term" in report("24*B*S*E**2 + 4*B*S**2*E")
    assert "the formula differs in 2 terms" in report("24*B*S*E**2 + 4*B*S**2*E + B + S*B*E")
    points = report("24*B*S*E**2 + 4*B*S*max(S, 2)*E + 7*B*S*E")
    assert re.search(r"the formula equals the closed form, at the \d+ sampled points", points)
    undefined = " ".join(report("24*B*S*E**2 + 4*B*S**2*E + 7*B*S*E + min(0, 1/(S - 2))").split())
    assert "it divides by zero, but the model costs" in undefined


def test_many_origins_are_shown_with_the_rest_as_one_and_lose_nothing():
    many = {Origin(f"block.{chr(97 + i)}", "mul", "pointwise"): i + 1 for i in range(20)}
    closed_form = form(lambda p: {origin: n * p["sequence"] for origin, n in many.items()}, (S,))
    lines = CLOSED_FORM_FORMATS.render(DerivationResult(closed_form, {}, {"sequence": 8}), "text").splitlines()
    shown = [line.split() for line in lines if "block." in line or "others  " in line]
    assert shown[-1][1] == "others"
    assert len(shown) - 1 + int(shown[-1][0]) == 20
    assert sum(int(words[-1]) for words in shown) == sum(range(1, 21))


def test_the_python_runs(result):
    scope: dict = {}
    exec(CLOSED_FORM_FORMATS.render(result, "python"), scope)  # noqa: S102 - it is to be Python
    assert scope["flops"](3, 100) == sum(transformer({"batch": 3, "sequence": 100}).values())


def test_the_python_of_several_pieces_chooses():
    window = form(lambda p: {ATTENTION: sum(min(n, 100) for n in range(1, p["sequence"] + 1))}, (S,))
    scope: dict = {}
    exec(CLOSED_FORM_FORMATS.render(DerivationResult(window, {}, {"sequence": 1024}), "python"), scope)  # noqa: S102 - it is to be Python
    assert [scope["flops"](n) for n in (50, 100, 101, 200)] == [1275, 5050, 5150, 15050]
    with pytest.raises(ValueError, match="outside"):
        scope["flops"](5000)


def test_the_latex_of_several_pieces_has_cases():
    window = form(lambda p: {ATTENTION: sum(min(n, 100) for n in range(1, p["sequence"] + 1))}, (S,))
    text = CLOSED_FORM_FORMATS.render(DerivationResult(window, {}, {"sequence": 1024}), "latex")
    assert text.count(r"\text{for }") == 2
    assert r"101 \le S \le 1024" in text


def test_the_json_has_every_term_and_point(result):
    document = json.loads(CLOSED_FORM_FORMATS.render(result, "json"))
    (piece,) = document["pieces"]
    assert {term["term"]: term["coefficient"] for term in piece["terms"]} == {"B*S*E**2": 24, "B*S**2*E": 4, "B*S*E": 7}
    for row in piece["verified"]:
        assert row["cost"] == sum(transformer(row["at"]).values())


def test_options_are_parsed():
    assert read_letters(["E=768, V=50257", "T=sequence"], ["sequence"]) == ({"E": 768, "V": 50257}, {"sequence": "T"})
    assert read_point(["batch=4"], [B, S]) == {"batch": 4, "sequence": 1024}
    assert read_budget("1e12", "S", [B, S]) == ("sequence", 10**12)


@pytest.mark.parametrize(
    "read",
    [
        lambda: read_letters(["E"], []),
        lambda: read_letters(["E=0"], []),
        lambda: read_letters(["E=width"], ["batch"]),
        lambda: read_point(["width=2"], [B]),
        lambda: read_point(["batch=x"], [B]),
        lambda: read_budget("1e12", None, [B]),
        lambda: read_budget(None, "batch", [B]),
        lambda: read_budget("1e12", "width", [B]),
        lambda: read_budget("ten", "batch", [B]),
    ],
)
def test_invalid_options_are_refused_in_a_line(read):
    with pytest.raises(ProfilerError) as caught:
        read()
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
    assert not isinstance(caught.value, InputError) or ";" in str(caught.value)
