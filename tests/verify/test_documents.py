"""The documents that come with the package: what their claims come to, by roads that share nothing with the files."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest

from profiler import units
from profiler.cli import main
from profiler.documents import FOLDER, documents
from profiler.report.claim_results import json_value, markdown
from profiler.verify import verify_all

#: In one process: each would verify everything anew.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("documents")]


@cache
def everything():
    return verify_all([(document, document.claims) for document in documents().values()])


def claim(name):
    return next(verified for verified in everything() if verified.claim.id == name)


def standing(name, of=""):
    return next(s for s in claim(name).results if of in {s.figure.of, s.figure.reading})


def test_every_claim_has_a_verdict_that_its_numbers_bear_out():
    for verified in everything():
        for one in verified.results:
            finding = one.finding
            left = finding.ours - finding.claim.claimed - sum(c.amount for c in finding.causes)
            assert abs(left - finding.unexplained) <= 1e-9 * abs(finding.ours), verified.claim.id
            assert (one.verdict == "unexplained") == bool(finding.unexplained and not one.figure.missing)
            assert (one.verdict == "unverifiable") == bool(one.figure.missing)


def test_formulas_are_held_against_at_least_twenty_settings():
    few = {v.claim.id: s.settings for v in everything() for s in v.results if 0 < s.settings < 20}
    assert few == {}
    assert sum(s.settings > 0 for v in everything() for s in v.results) > 20


def test_gpt2_is_accounted_for_to_the_last_parameter():
    """124,439,808: V·E + 12·(12E² + 9E), positions 1024·E, the last norm 2·E, and 4·E of biases a block."""
    finding = standing("est-gpt2", "every parameter").finding
    assert finding.ours == 124_439_808
    assert finding.claim.claimed == 50257 * 768 + 12 * (12 * 768**2 + 9 * 768)
    assert [c.amount for c in finding.causes] == [1024 * 768, 2 * 768, 12 * 3 * 768, 12 * 768]
    assert finding.unexplained == 0


def test_a_layer_of_llama_is_fully_explained():
    """8·L·H² of projections, 6·L·H·11008 of the FFN and 4·L²·H of attention at 2,048 tokens are 897.6 GFLOP."""
    tokens, width, inner = 2048, 4096, 11008
    finding = standing("tops-layer", "the layer").finding
    assert finding.ours == 8 * tokens * width**2 + 6 * tokens * width * inner + 4 * tokens**2 * width == 897_648_164_864
    assert finding.unexplained == 0


def test_the_whisper_encoders_by_hand():
    """Two convolutions, and a block's 12·d² of each of 1,500 positions with its two products of 1,500² · d, in MACs."""
    widths = {"tiny": (384, 4), "base": (512, 6), "small": (768, 12), "medium": (1024, 24), "large": (1280, 32)}
    encoders = {s.figure.of: s for s in claim("tops-whisper-table").results if s.figure.reading == "the encoder"}
    assert set(encoders) == set(widths)
    for name, (d, layers) in widths.items():
        macs = 3000 * 3 * 80 * d + 1500 * 3 * d * d + layers * (12 * d * d * 1500 + 2 * 1500**2 * d)
        assert encoders[name].values["macs"] == units.count(macs, "MAC")
    assert {name for name, s in encoders.items() if not s.finding.unexplained} == {"base", "small"}


def test_the_two_lines_on_attention_contradict_each_other_and_one_is_right():
    assert claim("est-mhsa-params-table").verdict == claim("est-mhsa-flops-table").verdict == "contradicted"
    assert claim("est-mhsa-params-text").verdict == claim("est-mhsa-flops-text").verdict == "agrees"


def test_the_page_is_current():
    """Written by: python -m profiler verify --format markdown --output profiler/documents/README.md."""
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == markdown(everything())


def test_the_json_has_a_finding_for_every_figure():
    value = json.loads(json.dumps(json_value(everything())))
    counts = Counter(row["id"] for row in value["findings"])
    assert counts == {v.claim.id: len(v.results) for v in everything()}
    assert set(value["verdicts"]) == set(counts)


def test_verify_fails_where_a_claim_does_not_hold(capsys):
    assert main(["verify", "estimate", "--claim", "est-mhsa-flops-table", "--quiet"]) == 1
    assert main(["verify", "estimate", "--claim", "est-mhsa-flops-text", "--quiet"]) == 0
    assert "1 of 1 claims do not hold: est-mhsa-flops-table contradicted" in capsys.readouterr().err
