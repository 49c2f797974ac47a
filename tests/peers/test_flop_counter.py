"""FlopCounterMode: the smallest module that shows each of its deviations, counted by hand in FLOPs."""

from __future__ import annotations

import pytest
import torch
from peers.models import FunctionModule
from peers.peer_cases import PeerCases, causes, given
from torch import nn

from profiler.peers import find_peer
from profiler.values.findings import Verdict


def call(function, *inputs):
    return given(FunctionModule(function), *inputs)


class Shared(nn.Module):
    """One layer under two parents, called by both."""

    def __init__(self):
        super().__init__()
        layer = nn.Sequential(nn.Linear(3, 4, bias=False))
        self.a, self.b = nn.Sequential(layer), nn.Sequential(layer)

    def forward(self, x):
        return self.a(x) + self.b(x)


def diagonal(n):
    return torch.eye(n).to_sparse_csr()


ones = torch.ones

#: By case: the model, what FlopCounterMode claims, what we count, and the amount of each cause.
CASES = {
    # 2·3 rows·4·5; a bias of 15 adds; a ReLU of 15 compares
    "linear and relu": (
        lambda: given(nn.Sequential(nn.Linear(4, 5), nn.ReLU()), ones(3, 4)), 120, 150,
        {"FCM-BIAS": 15, "FCM-ELEMENTWISE": 15},
    ),
    # 5 tokens of width 8: four projections 4·8², two products 2·5·8 for each; beside those 24·5 + 8·5 biases, 40 to
    # scale the queries, and for each of 2 heads · 5 rows of 5 scores: 5 subtractions of the maximum, 5 divisions, 4
    # compares and 4 adds
    "attention": (
        lambda: given(nn.MultiheadAttention(8, 2, batch_first=True), *[ones(1, 5, 8)] * 3, need_weights=False), 0,
        2 * 5 * (256 + 80) + 120 + 40 + 40 + 180, {"FCM-FASTPATH": 2 * 5 * (256 + 80), "FCM-ELEMENTWISE": 380},
    ),
    # 2 steps of 1 sequence, 4 gates of 4 units: 4·4·(3 + 4) MACs a step
    "lstm": (lambda: given(nn.LSTM(3, 4), ones(2, 1, 3)), 0, None, {"FCM-RNN": 2 * 2 * 4 * 4 * 7}),
    "mv": (lambda: call(torch.mv, ones(3, 4), ones(4)), 0, 24, {"FCM-GEMV": 24}),
    "dot": (lambda: call(torch.dot, ones(7), ones(7)), 0, 14, {"FCM-GEMV": 14}),
    # the sum over the batch and `self` are 4·4 adds
    "addbmm": (lambda: call(torch.addbmm, ones(4, 4), ones(2, 4, 3), ones(2, 3, 4)), 0, None, {"FCM-GEMV": 2 * 96}),
    "addmm in place": (
        lambda: call(lambda x, y: x.clone().addmm_(y, y), ones(4, 4), ones(4, 4)), 0, 144,
        {"FCM-INPLACE": 128, "FCM-BIAS": 16},
    ),
    "experts": (
        lambda: call(
            lambda x, w, offs: torch._grouped_mm(x, w, offs=offs),
            ones(8, 16, dtype=torch.bfloat16), ones(2, 16, 8, dtype=torch.bfloat16),
            torch.tensor([4, 8], dtype=torch.int32),
        ), 0, 2 * 8 * 16 * 8, {"FCM-MOE": 2048},
    ),
    "int8": (
        lambda: call(torch._int_mm, ones(32, 16, dtype=torch.int8), ones(16, 8, dtype=torch.int8)), 0, 8192,
        {"FCM-INT": 8192},
    ),
    # four stored elements by four columns
    "compressed": (lambda: call(torch.mm, diagonal(4), ones(4, 4)), 128, 32, {"FCM-SPARSE": -96}),
    "coordinates": (
        lambda: call(torch.sparse.mm, torch.eye(4).to_sparse(), ones(4, 4)), 0, 32, {"FCM-SPARSE-OPS": 32},
    ),
    "complex": (
        lambda: call(torch.mm, ones(4, 4, dtype=torch.complex64), ones(4, 4, dtype=torch.complex64)), 128, 512,
        {"FCM-COMPLEX": 384},
    ),
    # 5 outputs for 2 samples: a weight for each pair of 3·4 inputs
    "bilinear": (lambda: given(nn.Bilinear(3, 4, 5, bias=False), ones(2, 3), ones(2, 4)), 0, None, {"FCM-OTHER": 320}),
    # both calls are counted under b.0.0, one of them ran under a.0.0; the sum of the results is 8 adds
    "shared": (lambda: given(Shared(), ones(2, 3)), 96, 104, {"FCM-ELEMENTWISE": 8, "FCM-ALIAS": 0}),
    "agreed": (lambda: call(torch.mm, ones(2, 3), ones(3, 4)), 48, 48, {}),
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
PEER_CASES = PeerCases("flop_counter", {name: case[0] for name, case in CASES.items()})


@pytest.mark.parametrize("name", CASES)
def test_each_deviation_is_explained_to_the_last_flop(name):
    _, claimed, ours, expected = CASES[name]
    finding = PEER_CASES.total(name)
    assert finding.claim.claimed == claimed
    assert ours is None or finding.ours == ours
    assert finding.unexplained == 0
    amounts = causes(finding)
    assert {code: amounts.get(code) for code in expected} == expected
    assert set(amounts) - set(expected) <= {"FCM-ELEMENTWISE", "FCM-BIAS"}


def test_every_module_reconciles():
    for name in CASES:
        for finding in PEER_CASES.findings(name).values():
            assert finding.unexplained == 0, (name, finding)


def test_each_deviation_has_a_case():
    shown = {code for *_, expected in CASES.values() for code in expected}
    shown |= {"FCM-DTENSOR"}  # in tests/worlds/test_rank_findings.py, which has a process group
    assert shown == {deviation.code for deviation in find_peer("flop_counter").deviations}


def test_a_shared_module_is_at_its_last_name():
    findings = PEER_CASES.findings("shared")
    row = findings["b.0", "FLOP"]
    assert (row.claim.claimed, row.ours, row.verdict) == (96, 48, Verdict.EXPLAINED)
    assert causes(row) == {"FCM-ALIAS": -48}
    assert findings["a", "FLOP"].difference == 0
