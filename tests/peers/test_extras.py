"""torchinfo, calflops and torchprofile: the smallest module that shows each deviation, counted by hand."""

from __future__ import annotations

import warnings
from functools import cache

import pytest
import torch
from peers.models import matmul
from peers.peer_cases import PeerCases, causes, given
from torch import nn

from profiler.peers import find_peer

pytestmark = pytest.mark.filterwarnings(
    "ignore:Using padding='same' with even kernel lengths", "ignore:LSTM with projections is not supported with oneDNN"
)


class FunctionWithParameter(nn.Module):
    """A module that calls a function on its inputs; some counters find the device by its parameter."""

    def __init__(self, function):
        super().__init__()
        self.function, self.rest = function, nn.Parameter(torch.ones(1))

    def forward(self, *inputs):
        return self.function(*inputs)


class NormAndProduct(nn.Module):
    """A layer, and a product in the module's own code."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4, affine=False)

    def forward(self, x):
        y = self.norm(x)
        return y @ y.mT


class Shared(nn.Module):
    """One layer under two parents, called under the first only."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(3, 4, bias=False)
        self.a, self.b = nn.Sequential(layer), nn.Sequential(layer)

    def forward(self, x):
        return self.a(x)


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return torch.bmm(a, b)


def call(function, *inputs):
    return given(FunctionWithParameter(function), *inputs)


def packed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these layers are deprecated
        return given(torch.ao.nn.quantized.dynamic.Linear(8, 4), ones(2, 8))


def tied():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    return given(nn.Sequential(first, second), ones(2, 3))


def frozen():
    return given(nn.Linear(3, 4).requires_grad_(False), ones(2, 3))


def unused(x):
    torch.bmm(x, x)
    return x + 1


ones = torch.ones
ATTENTION = [ones(1, 2, 4, 8)] * 3  # 2·4·4 scores, 16 MACs each
COMPLEX = [ones(1, 2, 3, dtype=torch.complex64), ones(1, 3, 4, dtype=torch.complex64)]

#: By peer and case: the model, what the peer claims, and the amount of each cause (ours minus theirs).
CASES = {
    # rows 2·3; its first dimension is 2
    ("torchinfo", "linear"): (lambda: given(nn.Linear(4, 5, bias=False), ones(2, 3, 4)), 40, {"TI-LINEAR": 80}),
    # the output 4×6×6 is taken for 4 samples of 6 channels: 24 places for 108 weights instead of 36
    ("torchinfo", "conv"): (lambda: given(nn.Conv2d(3, 4, 3, bias=False), ones(3, 8, 8)), 2592, {"TI-CONV": 1296}),
    # 54 weights on 6·6 instead of 4·4 places
    ("torchinfo", "transposed"): (
        lambda: given(nn.ConvTranspose2d(2, 3, 3, bias=False), ones(1, 2, 4, 4)), 1944, {"TI-CONVT": -1080},
    ),
    ("torchinfo", "embedding"): (
        lambda: given(nn.Embedding(10, 4), torch.zeros(2, 3, dtype=torch.int64)), 80, {"TI-EMBED": -80},
    ),
    # 84 weights for 2·4 elements instead of 2 steps
    ("torchinfo", "gru"): (lambda: given(nn.GRU(3, 4, bias=False), ones(2, 3)), 672, {"TI-RNN": -504}),
    ("torchinfo", "norm"): (lambda: given(nn.LayerNorm(4), ones(2, 3, 4)), 16, {"TI-WEIGHT": -8, "TI-BIAS": -8}),
    ("torchinfo", "function"): (lambda: call(torch.matmul, ones(2, 3), ones(3, 4)), 0, {"TI-FUNC": 24}),
    ("torchinfo", "attention"): (
        lambda: given(nn.MultiheadAttention(8, 2, batch_first=True), *[ones(1, 5, 8)] * 3), 0,
        {"TI-LEAF": 5 * (4 * 64 + 2 * 5 * 8)},
    ),
    ("torchinfo", "own code"): (lambda: given(NormAndProduct(), ones(2, 4)), 0, {"TI-CODE": 16}),
    ("torchinfo", "tied"): (tied, 36, {}),
    ("torchinfo", "packed"): (packed, 0, {"TI-CODE": 64}),
    ("calflops", "complex"): (
        lambda: given(nn.Linear(3, 4, bias=False, dtype=torch.complex64), ones(2, 3, dtype=torch.complex64)), 24,
        {"CF-LINEAR": 72},
    ),
    # 3·3 outputs of 4 weights instead of 4·4
    ("calflops", "same"): (
        lambda: given(nn.Conv2d(1, 1, 2, padding="same", bias=False), ones(1, 1, 4, 4)), 36, {"CF-CONV": 28},
    ),
    ("calflops", "transposed"): (
        lambda: given(nn.ConvTranspose2d(4, 4, 3, groups=2, bias=False), ones(1, 4, 5, 5)), 900, {"CF-CONVT": 900},
    ),
    ("calflops", "broadcast"): (lambda: call(matmul, ones(5, 6), ones(3, 6, 7)), 210, {"CF-MATMUL": 420}),
    ("calflops", "attention"): (
        lambda: call(nn.functional.scaled_dot_product_attention, *ATTENTION), 0, {"CF-SDPA": 512},
    ),
    ("calflops", "lstm"): (lambda: given(nn.LSTM(3, 4), ones(2, 1, 3)), 0, {"CF-RNN": 2 * 4 * 4 * 7}),
    ("calflops", "operator"): (lambda: call(lambda a, b: a @ b, ones(2, 3), ones(3, 4)), 0, {"CF-PRODUCTS": 24}),
    # an encoder layer: 5 tokens through 4·8² and 2·8·16 weights are seen, 2·5·8 of attention are not
    ("calflops", "encoder layer"): (
        lambda: given(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), ones(1, 5, 8)), 5 * (256 + 256),
        {"CF-FASTPATH": 0, "CF-SDPA": 400},
    ),
    ("calflops", "shared"): (lambda: given(Shared(), ones(2, 3)), 48, {"CF-ALIAS": -24}),
    ("calflops", "frozen"): (frozen, 24, {}),
    ("torchprofile", "product"): (lambda: call(torch.mul, ones(2, 3), ones(2, 3)), 6, {"TP-MUL": -6}),
    ("torchprofile", "norm"): (lambda: given(nn.LayerNorm(4), ones(2, 4)), 8, {"TP-NORM": -8}),
    ("torchprofile", "pool"): (lambda: given(nn.AvgPool2d(2), ones(1, 3, 4, 4)), 12, {"TP-POOL": -12}),
    ("torchprofile", "leaky"): (lambda: given(nn.LeakyReLU(), ones(2, 5)), 10, {"TP-LEAKY": -10}),
    ("torchprofile", "resample"): (
        lambda: given(nn.Upsample(size=(4, 4), mode="bilinear"), ones(1, 1, 2, 2)), 64, {"TP-RESAMPLE": -64},
    ),
    ("torchprofile", "same"): (
        lambda: given(nn.Conv2d(1, 1, 3, padding="same", bias=False), ones(1, 1, 4, 4)), 0, {"TP-SAME": 144},
    ),
    ("torchprofile", "mm"): (lambda: call(torch.mm, ones(2, 3), ones(3, 4)), 0, {"TP-UNSUPPORTED": 24}),
    ("torchprofile", "complex"): (lambda: call(torch.bmm, *COMPLEX), 24, {"TP-COMPLEX": 72}),
    # 7·7 places of 4 channels, 2·3·3 weights each; and in truth 25 places of 4 channels
    ("torchprofile", "transposed"): (
        lambda: given(nn.ConvTranspose2d(4, 4, 3, groups=2, bias=False), ones(1, 4, 5, 5)), 3528, {"TP-CONVT": -1728},
    ),
    # 2 steps of 4·2·(3 + 2), and in truth of 4·4·(3 + 2) and 2·4
    ("torchprofile", "projected"): (lambda: given(nn.LSTM(3, 4, proj_size=2), ones(2, 1, 3)), 80, {"TP-LSTM": 96}),
    ("torchprofile", "ellipsis"): (
        lambda: call(lambda a, b: torch.einsum("...ij,...jk->...ik", a, b), ones(1, 2, 3), ones(1, 3, 4)), 0,
        {"TP-EINSUM": 24},
    ),
    ("torchprofile", "autograd function"): (
        lambda: call(Product.apply, ones(1, 2, 3), ones(1, 3, 4)), 0, {"TP-FUNCTION": 24},
    ),
    # a size times a size and a constant: 2 products of sizes; the reshape itself is free
    ("torchprofile", "sizes"): (
        lambda: call(lambda x: x.reshape(x.shape[0] * x.shape[1] * 2, -1), ones(2, 3, 4)), 2, {"TP-SIZES": -2},
    ),
    ("torchprofile", "product of numbers"): (
        lambda: call(lambda x, n: x * (n * n), ones(2, 3), torch.tensor(2)), 7, {"TP-MUL": -7},
    ),
    ("torchprofile", "unused"): (lambda: call(unused, ones(1, 3, 3)), 0, {"TP-UNUSED": 27}),
}  # fmt: skip
PEERS = ("torchinfo", "calflops", "torchprofile")


@cache
def peer_cases(peer: str) -> PeerCases:
    return PeerCases(peer, {name: case[0] for (source, name), case in CASES.items() if source == peer})


@pytest.mark.parametrize(("peer", "name"), CASES)
def test_each_deviation_is_explained_to_the_last_mac(peer, name):
    _, claimed, expected = CASES[peer, name]
    finding = peer_cases(peer).total(name)
    assert finding.claim.error == ""
    assert finding.claim.claimed == claimed
    assert causes(finding) == expected
    assert finding.unexplained == 0


@pytest.mark.parametrize(("peer", "name"), CASES)
def test_every_module_reconciles(peer, name):
    assert [f for f in peer_cases(peer).findings(name).values() if f.unexplained] == []


@pytest.mark.parametrize(
    ("peer", "name", "claimed", "expected"),
    [
        ("torchinfo", "tied", 18, {"TI-PARAMS": -9}),
        ("torchinfo", "packed", 0, {"TI-PACKED": 36}),
        ("calflops", "frozen", 0, {"CF-PARAMS": 16}),
    ],
)
def test_parameters_are_explained(peer, name, claimed, expected):
    finding = peer_cases(peer).total(name, "parameter")
    assert (finding.claim.claimed, causes(finding), finding.unexplained) == (claimed, expected, 0)


@pytest.mark.parametrize("peer", PEERS)
def test_each_deviation_has_a_case(peer):
    shown = {code for (source, _), (_, _, expected) in CASES.items() if source == peer for code in expected}
    of_parameters = {"TI-PARAMS", "TI-PACKED", "CF-PARAMS"}
    assert shown | of_parameters >= {deviation.code for deviation in find_peer(peer).deviations}
