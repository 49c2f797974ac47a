"""Ours − claimed − Σ causes: in integers, for the whole and for each module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import UnknownNameError
from profiler.peers import LiveModel, Peer, PeerFailure, PeerResult, find, peers
from profiler.peers import peer as catalogue
from profiler.reconcile import compare_with_peers, count_with_facts, reconcile, select_peers
from profiler.values.findings import CauseKind, Contribution, Verdict


@pytest.fixture
def made_up(monkeypatch):
    """A peer that leaves out every bias, by a rule that knows where."""
    monkeypatch.setattr(catalogue, "_PEERS", dict(peers()))
    peer = Peer("made-up", unit="MAC", distributions=("torch",), convention="Whatever the test says.")

    @peer.deviates("MU-HALF", CauseKind.FORMULA, "halves linear layers", where="nowhere", seen="never")
    def half(scene):
        for entry in scene.entries:
            yield Contribution(entry.record.module, entry.record.packet, entry.record.calls * entry.macs // 2)

    return peer


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 2)))


@pytest.fixture
def seen(net):
    return count_with_facts(net, (torch.ones(3, 4),), {}, profiler.count)


#: 3 rows: 3·4·6 = 72 and 3·6·2 = 36
WHOLE, FIRST, SECOND = 108, 72, 36


def test_causes_that_make_up_the_difference_explain_it(made_up, seen):
    total, first, second = reconcile(*seen, made_up, PeerResult(54, {"0": 36, "1": 18}))
    assert (total.ours, total.difference, total.unexplained, total.verdict) == (WHOLE, 54, 0, Verdict.EXPLAINED)
    assert [(cause.code, cause.amount, cause.modules) for cause in total.causes] == [("MU-HALF", 54, ("0", "1.0"))]
    assert (first.ours, first.causes[0].amount, first.unexplained) == (FIRST, 36, 0)
    assert (second.ours, second.causes[0].modules, second.unexplained) == (SECOND, ("1.0",), 0)


def test_what_no_cause_accounts_for_is_the_rest(made_up, seen):
    total, second = reconcile(*seen, made_up, PeerResult(50, {"1": 17.5}))
    assert (total.unexplained, total.verdict) == (4, Verdict.UNEXPLAINED)
    assert (second.unexplained, second.verdict) == (0.5, Verdict.UNEXPLAINED)


def test_two_rules_that_explain_the_same_are_a_rest(made_up, seen):
    (half,) = made_up.deviations
    made_up.deviates("MU-AGAIN", CauseKind.FORMULA, "halves them once more", where="nowhere", seen="never")(half.rule)
    total, first = reconcile(*seen, made_up, PeerResult(54, {"0": 36}))
    assert (total.unexplained, total.verdict) == (-54, Verdict.UNEXPLAINED)
    assert (first.unexplained, first.verdict) == (-36, Verdict.UNEXPLAINED)


def test_causes_are_listed_from_the_largest_to_the_smallest(made_up, seen):
    """Whatever their signs, and whatever the order in which their rules are written; equal ones by their code."""
    for code, amount in (("MU-C", 5), ("MU-B", -7), ("MU-A", 5)):
        made_up.deviates(code, CauseKind.FORMULA, "does so", where="nowhere", seen="never")(
            lambda _, amount=amount: [Contribution("", "aten.addmm", amount)]
        )
    (total,) = reconcile(*seen, made_up, PeerResult(54))
    assert [cause.code for cause in total.causes] == ["MU-HALF", "MU-B", "MU-A", "MU-C"]


def test_equal_numbers_agree(seen):
    peer = find("flop_counter")
    profile, facts = seen
    found = reconcile(profile, facts, peer, PeerResult(2 * WHOLE))
    assert [finding.verdict for finding in found] == [Verdict.EXPLAINED]  # the biases
    no_entries = reconcile(profiler.count(nn.Identity(), torch.ones(1)), (), peer, PeerResult(0))
    assert [finding.verdict for finding in no_entries] == [Verdict.AGREES]


def test_a_failure_is_a_finding_in_the_peers_own_words(made_up, seen):
    (finding,) = reconcile(*seen, made_up, PeerFailure("RuntimeError: no"))
    assert (finding.verdict, finding.claim.claimed, finding.claim.error) == (Verdict.FAILED, None, "RuntimeError: no")
    assert (finding.ours, finding.difference, finding.unexplained) == (WHOLE, 0, 0)


def test_a_module_that_is_none_of_ours_did_nothing_here(made_up, seen):
    total, other = reconcile(*seen, made_up, PeerResult(54, {"": 54, "7": 1}))
    assert (total.claim.subject, other.claim.subject) == ("total", "7")
    assert (other.ours, other.unexplained, other.verdict) == (0, -1, Verdict.UNEXPLAINED)


def test_all_stands_for_the_installed_peers():
    assert select_peers(["all"]) == tuple(name for name, peer in peers().items() if peer.installed)
    assert select_peers(["thop", "fvcore", "thop"]) == ("thop", "fvcore")


def test_an_unknown_peer_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"^no peer named 'fvcor'; did you mean 'fvcore'\?"):
        select_peers(["fvcor"])


def test_a_peer_that_is_not_installed_says_how_in_its_row(made_up, net, seen):
    made_up.distributions, made_up.install = ("no-such-distribution",), "pip install made-up"
    (finding,) = compare_with_peers(["made-up"], LiveModel(net, (torch.ones(3, 4),), {}), *seen)
    assert (finding.verdict, finding.claim.error) == (Verdict.FAILED, "not installed; pip install made-up")


def test_codes_are_unique_and_every_departure_speaks():
    for peer in peers().values():
        codes = [deviation.code for deviation in peer.deviations]
        assert len(codes) == len(set(codes)), peer.name
        for deviation in peer.deviations:
            assert deviation.why, deviation.code
            assert deviation.where, deviation.code
            assert deviation.versions, deviation.code
            assert not deviation.why.endswith("."), deviation.code
