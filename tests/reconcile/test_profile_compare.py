"""``p.compare(...)``: peers on the model of a profile, which stays as it is; and findings that outlive it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError, SavedProfileError, UnknownNameError
from profiler.report import render
from profiler.tally.saved import from_json, to_json


def example() -> nn.Module:
    """The documents' two layers, with a norm that has statistics and a dropout that has a mode."""
    return nn.Sequential(nn.Linear(1000, 500), nn.BatchNorm1d(500), nn.Dropout(), nn.Linear(500, 100))


@pytest.fixture(scope="module")
def compared():
    model, x = example(), torch.randn(2, 1000)
    with profiler.profile(model) as p:
        model(x).sum().backward()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    findings = p.compare("thop", "flop_counter")
    return model, p, findings, state, torch.equal(torch.get_rng_state(), random)


def test_findings_are_of_a_forward_pass_in_eval_mode(compared):
    _, p, findings, *_ = compared
    totals = {(f.claim.source, f.claim.unit): f for f in findings if f.claim.subject == "total"}
    macs = totals["thop", "MAC"]
    assert macs.ours == 2 * 550_000
    assert p.totals.macs > 2 * macs.ours  # the profile itself is of a training step
    assert totals["thop", "parameter"].claim.claimed == totals["thop", "parameter"].ours == 500_500 + 1_000 + 50_100
    assert totals["flop_counter", "FLOP"].claim.claimed == 2 * 2 * 550_000
    assert all(finding.unexplained == 0 for finding in findings)


def test_the_model_stays_bit_identical(compared):
    model, _, _, state, same_random_state = compared
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    for module in model.modules():
        assert not {"total_ops", "total_params", "__flops__", "__macs__"} & set(vars(module))
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert same_random_state


def test_the_result_carries_the_findings_and_a_second_question_adds_to_them(compared):
    _, p, findings, *_ = compared
    assert p.result.findings == findings
    assert p.findings == findings


def test_findings_are_saved_and_come_back_whole(compared, tmp_path):
    _, p, *_ = compared
    p.save(tmp_path / "a.json")
    assert profiler.load(tmp_path / "a.json") == p.result
    rows = json.loads((tmp_path / "a.json").read_text())["findings"]
    assert len(rows) == len(p.findings)
    keys = {"source", "version", "subject", "unit", "claimed", "ours", "causes", "unexplained", "verdict"}
    assert all(keys <= set(row) for row in rows)
    row = next(row for row in rows if row["source"] == "flop_counter" and row["subject"] == "total")
    assert {"code", "kind", "amount", "why", "modules"} <= set(row["causes"][0])
    assert sum(cause["amount"] for cause in row["causes"]) == row["ours"] - row["claimed"]


@pytest.mark.parametrize("key", ["unexplained", "verdict", "ours"])
def test_an_edited_finding_is_refused(compared, key):
    document = json.loads(to_json(compared[1].result))
    row = document["findings"][0]
    row[key] = "agrees" if key == "verdict" else row[key] + 1
    with pytest.raises(SavedProfileError, match="was changed after it was saved"):
        from_json(json.dumps(document))


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_report_has_the_peers_and_their_causes(compared, form):
    text = render(compared[1].result, form)
    for word in ("flop_counter", "thop", "FCM-BIAS", "explained", "1,100,000"):
        assert word in text
    assert form != "text" or max(map(len, text.splitlines())) <= 80


def test_profiles_add_up_with_their_findings(compared):
    p = compared[1].result
    assert (p + p).findings == p.findings


def test_an_unknown_peer_is_refused_before_anything_runs(compared):
    with pytest.raises(UnknownNameError, match="did you mean 'thop'"):
        compared[1].compare("thopp")


def test_without_a_model_or_a_call_there_is_nothing_to_compare():
    with profiler.profile() as p:
        torch.ones(2).sum()
    with pytest.raises(InputError, match=r"has no model; write profiler\.profile\(model\)$"):
        p.compare("flop_counter")
    with profiler.profile(example()) as p:
        pass
    with pytest.raises(InputError, match=r"recorded no call of its model$"):
        p.compare("flop_counter")
