"""Ours − claimed − Σ causes = unexplained: for the whole model and for each module."""

from __future__ import annotations

from importlib import metadata

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import UnknownNameError
from profiler.peers import LiveModel, Peer, PeerFailure, PeerResult, all_peers, find_peer, registry, select_peers
from profiler.reconcile import compare_with_peers, count_with_facts, reconcile
from profiler.values.findings import CauseKind, Contribution, Verdict


@pytest.fixture
def halving_peer(monkeypatch):
    """A peer that counts half of each linear layer, with the rule that explains it."""
    peer = Peer("halving", unit="MAC", distributions=("torch",), convention="Half of the MACs.")
    peers = {**all_peers(), "halving": peer}
    monkeypatch.setattr(registry, "all_peers", lambda: peers)

    @peer.deviates("MU-HALF", CauseKind.FORMULA, "halves linear layers", where="nowhere", versions="none")
    def half(forward_pass):
        for entry in forward_pass.entries:
            yield Contribution(entry.record.module, entry.record.packet, entry.record.calls * entry.macs // 2)

    return peer


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 2)))


@pytest.fixture
def counted(net):
    """Our profile and the facts about the modules."""
    return count_with_facts(net, (torch.ones(3, 4),), {}, profiler.count)


#: 3 rows: 3·4·6 = 72 and 3·6·2 = 36
WHOLE, FIRST, SECOND = 108, 72, 36


def test_the_version_of_a_peer_is_looked_up_once_and_not_for_each_module(halving_peer, counted, monkeypatch):
    asked = []
    monkeypatch.setattr(metadata, "version", lambda name: asked.append(name) or "1.0")
    findings = reconcile(*counted, halving_peer, PeerResult(54, {"0": 36, "1": 18}))
    assert [finding.claim.version for finding in findings] == ["torch 1.0"] * 3
    assert asked == ["torch"]


def test_causes_that_make_up_the_difference_explain_it(halving_peer, counted):
    total, first, second = reconcile(*counted, halving_peer, PeerResult(54, {"0": 36, "1": 18}))
    assert (total.ours, total.difference, total.unexplained, total.verdict) == (WHOLE, 54, 0, Verdict.EXPLAINED)
    assert [(cause.code, cause.amount, cause.modules) for cause in total.causes] == [("MU-HALF", 54, ("0", "1.0"))]
    assert (first.ours, first.causes[0].amount, first.unexplained) == (FIRST, 36, 0)
    assert (second.ours, second.causes[0].modules, second.unexplained) == (SECOND, ("1.0",), 0)


def test_what_no_cause_accounts_for_is_unexplained(halving_peer, counted):
    total, second = reconcile(*counted, halving_peer, PeerResult(50, {"1": 17.5}))
    assert (total.unexplained, total.verdict) == (4, Verdict.UNEXPLAINED)
    assert (second.unexplained, second.verdict) == (0.5, Verdict.UNEXPLAINED)


def test_two_rules_that_explain_the_same_leave_a_difference_unexplained(halving_peer, counted):
    (half,) = halving_peer.deviations
    halving_peer.deviates("MU-AGAIN", CauseKind.FORMULA, "halves them again", where="nowhere", versions="none")(
        half.rule
    )
    total, first = reconcile(*counted, halving_peer, PeerResult(54, {"0": 36}))
    assert (total.unexplained, total.verdict) == (-54, Verdict.UNEXPLAINED)
    assert (first.unexplained, first.verdict) == (-36, Verdict.UNEXPLAINED)


def test_the_causes_of_a_finding_are_listed_by_size_whatever_their_sign_then_by_code(counted):
    peer = Peer("four rules", unit="MAC", distributions=("torch",), convention="Whatever the test says.")
    for code, amount in (("MU-B", 3), ("MU-A", -100), ("MU-D", 10), ("MU-C", 10)):
        contribution = Contribution("0", "aten.addmm", amount)
        peer.deviates(code, CauseKind.FORMULA, "adds", where="nowhere", versions="none")(lambda _, c=contribution: [c])
    total, first = reconcile(*counted, peer, PeerResult(WHOLE + 77, {"0": FIRST + 77}))
    largest_first = [("MU-A", -100), ("MU-C", 10), ("MU-D", 10), ("MU-B", 3)]
    assert [(cause.code, cause.amount) for cause in total.causes] == largest_first
    assert [(cause.code, cause.amount) for cause in first.causes] == largest_first
    assert (total.unexplained, first.unexplained) == (0, 0)


def test_equal_numbers_agree(counted):
    peer = find_peer("flop_counter")
    findings = reconcile(*counted, peer, PeerResult(2 * WHOLE))
    assert [finding.verdict for finding in findings] == [Verdict.EXPLAINED]  # the biases
    no_entries = reconcile(profiler.count(nn.Identity(), torch.ones(1)), (), peer, PeerResult(0))
    assert [finding.verdict for finding in no_entries] == [Verdict.AGREES]


def test_a_failure_is_a_finding_with_the_peers_own_message(halving_peer, counted):
    (finding,) = reconcile(*counted, halving_peer, PeerFailure("RuntimeError: no"))
    assert (finding.verdict, finding.claim.claimed, finding.claim.error) == (Verdict.FAILED, None, "RuntimeError: no")
    assert (finding.ours, finding.difference, finding.unexplained) == (WHOLE, 0, 0)


def test_a_module_unknown_to_us_counts_zero(halving_peer, counted):
    total, other = reconcile(*counted, halving_peer, PeerResult(54, {"": 54, "7": 1}))
    assert (total.claim.subject, other.claim.subject) == ("total", "7")
    assert (other.ours, other.unexplained, other.verdict) == (0, -1, Verdict.UNEXPLAINED)


def test_all_stands_for_the_installed_peers():
    assert select_peers(["all"]) == tuple(name for name, peer in all_peers().items() if peer.installed)
    assert select_peers(["thop", "fvcore", "thop"]) == ("thop", "fvcore")


def test_peers_are_listed_alphabetically_by_their_names():
    assert list(all_peers()) == sorted(peer.name for peer in all_peers().values())


def test_an_unknown_peer_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"^no peer named 'fvcor'; did you mean 'fvcore'\?"):
        select_peers(["fvcor"])


def test_a_peer_that_is_not_installed_says_how_in_its_row(halving_peer, net, counted):
    halving_peer.distributions, halving_peer.install = ("no-such-distribution",), "pip install halving"
    (finding,) = compare_with_peers(["halving"], LiveModel(net, (torch.ones(3, 4),), {}), *counted)
    assert (finding.verdict, finding.claim.error) == (Verdict.FAILED, "not installed; pip install halving")


def test_codes_are_unique_and_every_deviation_is_described():
    for peer in all_peers().values():
        codes = [deviation.code for deviation in peer.deviations]
        assert len(codes) == len(set(codes)), peer.name
        for deviation in peer.deviations:
            assert deviation.why, deviation.code
            assert deviation.where, deviation.code
            assert deviation.versions, deviation.code
            assert not deviation.why.endswith("."), deviation.code
