"""The documents that come with the package: verdicts and counts, checked by derivations independent of the files."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest

from profiler import units
from profiler.cli import main
from profiler.documents import FOLDER, documents
from profiler.report.claim_results import CLAIM_FORMATS
from profiler.verify import verify_all

#: In one worker of pytest-xdist: otherwise each would verify all documents again.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("documents")]


@cache
def all_results():
    return verify_all([(document, document.claims) for document in documents().values()])


def claim_result(name):
    return next(result for result in all_results() if result.claim.id == name)


def figure_result(name, of=""):
    return next(result for result in claim_result(name).results if of in {result.figure.of, result.figure.reading})


def test_every_claim_has_a_verdict_that_its_numbers_bear_out():
    for claim in all_results():
        for result in claim.results:
            finding = result.finding
            rest = finding.ours - finding.claim.claimed - sum(c.amount for c in finding.causes)
            assert abs(rest - finding.unexplained) <= 1e-9 * abs(finding.ours), claim.claim.id
            assert (result.verdict == "unexplained") == bool(finding.unexplained and not result.figure.missing)
            assert (result.verdict == "unverifiable") == bool(result.figure.missing)


def test_formulas_are_held_against_at_least_twenty_settings():
    settings = [(c.claim.id, r.settings) for c in all_results() for r in c.results if r.figure.kind == "formula"]
    assert [entry for entry in settings if entry[1] < 20] == []
    assert len(settings) > 20


def test_gpt2_is_accounted_for_to_the_last_parameter():
    """124,439,808: V·E + 12·(12E² + 9E), positions 1024·E, the last norm 2·E, and 4·E of biases a block."""
    finding = figure_result("est-gpt2", "every parameter").finding
    assert finding.ours == 124_439_808
    assert finding.claim.claimed == 50257 * 768 + 12 * (12 * 768**2 + 9 * 768)
    assert [c.amount for c in finding.causes] == [1024 * 768, 2 * 768, 12 * 3 * 768, 12 * 768]
    assert finding.unexplained == 0


def test_a_layer_of_llama_is_fully_explained():
    """8·L·H² of projections, 6·L·H·11008 of the FFN and 4·L²·H of attention at 2,048 tokens are 897.6 GFLOP."""
    tokens, width, inner = 2048, 4096, 11008
    finding = figure_result("tops-layer", "the layer").finding
    assert finding.ours == 8 * tokens * width**2 + 6 * tokens * width * inner + 4 * tokens**2 * width == 897_648_164_864
    assert finding.unexplained == 0


def test_the_whisper_encoders_by_hand():
    """Two convolutions, and a block's 12·d² of each of 1,500 positions with its two products of 1,500² · d, in MACs."""
    widths = {"tiny": (384, 4), "base": (512, 6), "small": (768, 12), "medium": (1024, 24), "large": (1280, 32)}
    results = claim_result("tops-whisper-table").results
    encoders = {result.figure.of: result for result in results if result.figure.reading == "the encoder"}
    assert set(encoders) == set(widths)
    for name, (d, layers) in widths.items():
        macs = 3000 * 3 * 80 * d + 1500 * 3 * d * d + layers * (12 * d * d * 1500 + 2 * 1500**2 * d)
        assert encoders[name].values["macs"] == units.count(macs, "MAC")
    assert {name for name, result in encoders.items() if not result.finding.unexplained} == {"base", "small"}


def test_the_two_lines_on_attention_contradict_each_other_and_one_is_right():
    table, text = ("est-mhsa-params-table", "est-mhsa-flops-table"), ("est-mhsa-params-text", "est-mhsa-flops-text")
    assert {claim_result(name).verdict for name in table} == {"contradicted"}
    assert {claim_result(name).verdict for name in text} == {"agrees"}


def test_the_page_is_current():
    """Written by: python -m profiler verify --format markdown --output profiler/documents/README.md."""
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == CLAIM_FORMATS.render(all_results(), "markdown")


def test_the_json_has_a_finding_for_every_figure():
    document = json.loads(CLAIM_FORMATS.render(all_results(), "json"))
    counts = Counter(row["id"] for row in document["findings"])
    assert counts == {claim.claim.id: len(claim.results) for claim in all_results()}
    assert set(document["verdicts"]) == set(counts)


def test_verify_fails_where_a_claim_does_not_hold(capsys):
    assert main(["verify", "estimate", "--claim", "est-mhsa-flops-table", "--quiet"]) == 1
    assert main(["verify", "estimate", "--claim", "est-mhsa-flops-text", "--quiet"]) == 0
    assert "1 of 1 claim does not hold: est-mhsa-flops-table contradicted" in capsys.readouterr().err


def test_what_has_no_explanation_is_six_figures_of_one_table_and_its_note_says_what_was_tried():
    rest = [(c.claim.id, r.figure.of) for c in all_results() for r in c.results if r.verdict == "unexplained"]
    assert rest == [("tops-whisper-table", name) for name in ("tiny", "tiny", "medium", "medium", "large", "large")]
    assert "Tried for each of them: " in claim_result("tops-whisper-table").claim.margin


def test_the_figures_of_the_7950x_are_those_of_slower_memory_and_a_clock_between_base_and_boost():
    """Two channels of 8 bytes at 4.2 GT/s are 67.2 GB/s; 16 cores × 32 operations at 5.342 GHz are 2,735 GFLOPS."""
    bandwidth, peak = (figure_result("tops-7950x", of).finding for of in ("bandwidth", "peak"))
    assert next(c.amount for c in bandwidth.causes if c.kind == "other-subject") == bandwidth.ours - 2 * 8 * 4.2e9
    assert next(c.amount for c in peak.causes if c.kind == "other-subject") == peak.ours - 16 * 32 * 5.342e9
    assert bandwidth.unexplained == peak.unexplained == 0
