"""Verdicts follow from numbers: small claims whose every amount is known by hand.

``TwoLinears`` is 1000 to 500 to 100 features: 550,000 multiply-adds, 600 additions of biases, 550,600 parameters.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import pytest

from profiler.cli import main
from profiler.documents import find_document
from profiler.values.findings import Verdict
from profiler.verify import Measurements, verify

MEASUREMENTS = Measurements()  # shared, so that each model runs once for the whole file
TWO = 'target = "profiler.documents.models:TwoLinears", input = ["x=1,1000"]'
FACT = f"""
[[claims]]
id = "mine"
says = "Two layers."
kind = "fact"
unit = "FLOP"
measures.ours = {{ {TWO}, count = "flops" }}
measures.macs = {{ {TWO}, count = "macs" }}
measures.biases = {{ {TWO}, count = "other_flops" }}
"""
UNIT = 'causes = [{ kind = "unit", why = "MACs", gives = "macs" }]\n'
NEGLECTED = 'causes = [{ kind = "approximation", why = "biases", gives = "now - biases" }]\n'
MISSED = 'causes = [{ kind = "missing-term", why = "biases", gives = "now - biases" }]\n'
SUM = '[[claims]]\nid = "sum"\nsays = "A sum."\nkind = "arithmetic"\nunit = "TOPS"\n'


def check(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    (claim_result,) = verify(find_document(str(path)), MEASUREMENTS)
    return claim_result


def the_finding(tmp_path, text):
    (result,) = check(tmp_path, text).results
    return result.finding


@pytest.mark.parametrize(
    ("printed", "verdict", "causes"),
    [
        ('printed = "1_100_600"\n', "agrees", {}),
        ('printed = "1.10e6"\n', "agrees", {"rounding": 600}),
        ('printed = "1.1e6"\n', "agrees", {"rounding": 600}),
        ('printed = "1.0e6"\n', "unexplained", {}),  # 0.1 off: as much as one in the last digit
        ('printed = "1.09e6"\n', "unexplained", {}),
        ('printed = "1e6..2e6"\n', "agrees", {}),
        ('printed = "1.2e6..2e6"\n', "unexplained", {}),
        ('printed = "> 1e6"\n', "agrees", {}),
        ('printed = "< 1e6"\n', "unexplained", {}),
        ('printed = "1100000"\n' + NEGLECTED, "explained", {"approximation": 600}),
        ('printed = "1100000"\n' + MISSED, "explained", {"missing-term": 600}),  # 0.05 % of the whole
        ('printed = "550000"\n' + UNIT, "contradicted", {"unit": 550_600}),
        ('printed = "0.55e6"\n' + UNIT, "contradicted", {"unit": 550_600}),
        ('printed = "0.56e6"\n' + UNIT, "unexplained", {"unit": 550_600}),
        ('printed = "0.549e6"\n' + UNIT, "unexplained", {"unit": 550_600}),
        ('missing = "the page has lost it"\n', "unverifiable", {}),
    ],
)
def test_the_verdict_of_a_figure(tmp_path, printed, verdict, causes):
    text = FACT + (printed + 'printed = "1"\n' if "missing =" in printed else printed)
    claim_result = check(tmp_path, text)
    assert claim_result.verdict == verdict
    if "missing" not in printed.split("=")[0]:
        assert {c.kind.value: c.amount for c in claim_result.results[0].finding.causes} == causes


def test_unexplained_is_ours_minus_claimed_minus_the_causes(tmp_path):
    finding = the_finding(tmp_path, FACT + 'printed = "0.56e6"\n' + UNIT)
    assert (finding.ours, finding.claim.claimed, finding.unexplained) == (1_100_600, 560_000, -10_000)


def test_a_rule_in_what_is_measured_stands_in_the_place_of_a_printed_figure(tmp_path):
    text = FACT.replace('"FLOP"', '"MAC"') + 'measured = "macs"\nexpression = "macs"\n'
    assert check(tmp_path, text).verdict is Verdict.AGREES


@pytest.mark.parametrize(
    ("figure", "verdict", "causes"),
    [
        ('expression = "470e9*2"\nprinted = "0.94"\n', "agrees", {}),  # a plain number is in base units
        ('expression = "a*b"\nvariables = { a = "470 GFLOP", b = "2 Hz" }\nprinted = "0.94"\n', "agrees", {}),
        ('expression = "a*b"\nvariables = { a = "470 GFLOP", b = "2 Hz" }\nprinted = "0.9"\n', "agrees",
         {"rounding": 40 * 10**9}),
        ('expression = "a*b"\nvariables = { a = "470 GFLOP", b = "2 Hz" }\nprinted = "9.4"\n', "contradicted",
         {"slip": -8460 * 10**9}),
    ],
)  # fmt: skip
def test_arithmetic_is_held_against_its_own_expression(tmp_path, figure, verdict, causes):
    claim_result = check(tmp_path, SUM + figure)
    assert claim_result.verdict == verdict
    assert {c.kind.value: c.amount for c in claim_result.results[0].finding.causes} == causes


def test_ratios_are_exact(tmp_path):
    text = SUM.replace("TOPS", "FLOP/byte") + 'expression = "2735/67"\nprinted = "40"\n'
    assert the_finding(tmp_path, text).ours == Fraction(2735, 67)


def test_the_first_reading_decides_and_every_subject_counts(tmp_path):
    right, wrong = '[[claims.figures]]\nprinted = "1100600"\n', '[[claims.figures]]\nprinted = "5"\n'
    assert check(tmp_path, FACT + right + 'reading = "a"\n' + wrong + 'reading = "b"\n').verdict == "agrees"
    assert check(tmp_path, FACT + right + 'of = "a"\n' + wrong + 'of = "b"\n').verdict == "unexplained"


SELF = 'target = "profiler.documents.models:Attention", set = { width = "E" }, input = ["x=B,S,E"]'
ATTENTION = f"""
[[claims]]
id = "attention"
says = "FLOPs of attention."
kind = "formula"
unit = "FLOP"
variables = {{ B = "1..6", S = "8..64", E = "16..256:16" }}
measures.ours = {{ {SELF}, count = "contractions" }}
"""


@pytest.mark.parametrize(
    ("expression", "verdict", "terms"),
    [
        ("8*B*S*E**2 + 4*B*S**2*E", "agrees", set()),
        ("4*B*S*E*(2*E + S)", "agrees", set()),
        ("2*B*S*E**2 + 4*B*S**2*E", "contradicted", {("missing-term", "6·B·E²·S")}),
        ("8*B*S*E**2", "contradicted", {("missing-term", "4·B·E·S²")}),
        ("8*B*S*E**2 + 4*B*S**2*E + S", "explained", {("spurious-term", "-S")}),
        ("9*B*S*E**2 + 4*B*S**2*E", "contradicted", {("spurious-term", "-B·E²·S")}),
    ],
)
def test_a_formula_is_held_against_the_closed_form_term_by_term(tmp_path, expression, verdict, terms):
    claim_result = check(tmp_path, ATTENTION + f'expression = "{expression}"\n')
    (result,) = claim_result.results
    assert claim_result.verdict == verdict
    assert result.form == "8·B·E²·S + 4·B·E·S²"
    assert result.settings >= 20
    assert {(c.kind.value, c.contributions[0].operator) for c in result.finding.causes} == terms
    assert result.finding.unexplained == 0


def test_a_missing_term_is_named_by_what_makes_it(tmp_path):
    finding = the_finding(tmp_path, ATTENTION + 'expression = "8*B*S*E**2"\n')
    assert "lacks 4·B·E·S² (several operators in the model)" in finding.causes[0].why


ONE = 'printed = "1"\n'
DEVICE = 'measures.ours = { device = "t44", figure = "fp16" }\n'
RENAMED = 'causes = [{ kind = "missing-term", why = "it", gives = "macs" }]\n'
HALVED = """
[[claims]]
id = "sum"
says = "A formula."
kind = "formula"
unit = "parameter"
expression = "2*N + 1/(N - 4)"
variables = { N = "4..64:4" }
[claims.measures.ours]
target = "torch.nn:LayerNorm"
set = { normalized_shape = "N" }
input = ["input=1,N"]
count = "params"
"""
BAD = {
    "an unknown subject": (FACT.replace("TwoLinears", "ThreeLinears") + ONE, 2, "ThreeLinears"),
    "an unknown model": (FACT.replace("profiler.documents.models:TwoLinears", "resnet81") + ONE, 2, "resnet"),
    "a unit that does not fit": (FACT.replace('unit = "FLOP"', 'unit = "GB"') + ONE, 2, "incompatible units"),
    "a unit that is none": (FACT.replace('unit = "FLOP"', 'unit = "furlong"') + ONE, 2, "furlong"),
    "a figure that is none": (FACT + 'printed = "about one"\n', 2, "cannot read the printed figure 'about one'"),
    "a variable without value": (SUM + 'expression = "a + 1"\n' + ONE, 2, "unknown name 'a'"),
    "an import": (SUM + "expression = \"__import__('os')\"\n" + ONE, 2, "only sum, min, max and ceil"),
    "a tower of powers": (SUM + 'expression = "9**9**9"\n' + ONE, 2, "this power is too high"),
    "an attribute": (SUM + 'expression = "(1).real"\n' + ONE, 2, "an attribute is not allowed in a formula"),
    "a cause that changes the unit": (FACT + ONE + RENAMED, 2, "only a cause of kind"),
    "a module that is not there": (
        FACT.replace('count = "other_flops"', 'count = "flops", modules = ["fc3"]') + ONE + NEGLECTED, 2, "fc3"),
    "a value that is none": (HALVED, 2, "the formula 2*N + 1/(N - 4) divides by zero at N=4"),
    "a largest of none": (
        HALVED.replace(" + 1", " + max(1, 1").replace('(N - 4)"', '(N - 4))"'), 2, "divides by zero at N=4"),
    "a device that is not there": (SUM.replace("arithmetic", "fact") + ONE + DEVICE, 2, "t44"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_with_the_file_and_the_claim(case, tmp_path, capsys):
    text, status, message = BAD[case]
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert main(["verify", str(path)]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    assert line.startswith(("error: mine: mine: ", "error: mine: sum: "))
    assert message in line


RAISES = FACT.replace("x=1,1000", "x=1,999")
MISSING = FACT.replace("profiler.documents.models:TwoLinears", "timm:vit_tiny_patch16_224").replace("x=1,1000", "")


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [(RAISES, 3, "TwoLinears raised RuntimeError"), (MISSING, 2, "timm is not installed; pip install 'profiler[hf]'")],
    ids=["it raises", "it is not installed"],
)
def test_a_failing_model_is_reported_beside_the_other_claims(text, status, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    path = tmp_path / "mine.toml"
    path.write_text(text + ONE + FACT.replace('"mine"', '"other"') + 'printed = "1100600"\n')
    assert main(["verify", str(path), "--format", "json"]) == status
    captured = capsys.readouterr()
    first, second = json.loads(captured.out)["findings"]
    assert (first["verdict"], first["claimed"], first["ours"]) == ("failed", None, None)
    assert message in first["error"]
    assert (second["verdict"], second["ours"]) == ("agrees", 1_100_600)
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("error: 1 of 2 claims could not be checked: mine: mine: ")
    assert message in line
