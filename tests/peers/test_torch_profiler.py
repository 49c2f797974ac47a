"""torch.profiler's with_flops: each deviation on the smallest case that shows it, counted by hand."""

from __future__ import annotations

import pytest
import torch
from peers.models import FunctionModule, call, encoder_layer, layer, padded_encoder
from peers.peer_cases import PeerCases, causes, given
from torch import nn
from torch.nn import functional

from profiler.peers import LiveModel, PickledModel, find_peer, run_peer

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


def products(dtype, *shapes):
    return lambda: given(FunctionModule(torch.matmul), *(torch.ones(shape, dtype=dtype) for shape in shapes))


#: By name: the case, what torch.profiler claims, and the amount of each cause but TPROF-ELEM.
CASES = {
    # 2 rows · 3 · 4, twice; one bias for each output
    "linear": (layer(lambda: nn.Linear(3, 4), 2, 3), 48, {"TPROF-BIAS": 8}),
    # rows that do not lie together: a product, and the bias is added in place
    "linear, transposed": (
        lambda: given(nn.Linear(3, 4), torch.ones(2, 3, 5).transpose(1, 2)), 2 * 10 * 12, {"TPROF-INPLACE": 40}),
    "bmm": (call(torch.bmm, (5, 2, 3), (5, 3, 4)), 240, {}),
    "baddbmm": (call(torch.baddbmm, (2, 3, 5), (2, 3, 4), (2, 4, 5)), 240, {"TPROF-BIAS": 30}),
    "conv2d": (layer(lambda: nn.Conv2d(4, 6, 3, groups=2), 1, 4, 8, 8), 2 * 36 * 9 * 2 * 6, {"TPROF-BIAS": 216}),
    "reflected": (
        layer(lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", bias=False), 1, 3, 8, 8),
        2 * 64 * 27 * 4, {}),
    # 2 · (8 + 4) · 12 gates, twice, with a bias on either side; of its sums of 2 · 4, one is not in place
    "gru cell": (layer(lambda: nn.GRUCell(8, 4), 2, 8), 576 + 8, {"TPROF-BIAS": 48}),
    # as that, in 5 steps; but all inputs go through their gates at once
    "gru": (layer(lambda: nn.GRU(8, 4), 5, 2, 8), 5 * (576 + 8), {"TPROF-BIAS": 5 * 48}),
    "add": (call(torch.add, (5, 2), (5, 2)), 10, {}),
    "first operand": (call(torch.mul, (5, 1), (10,)), 5, {"TPROF-OPERAND": 45}),
    "second operand": (call(torch.mul, (10,), (5, 1)), 10, {"TPROF-OPERAND": 40}),
    "alpha": (call(lambda a: torch.add(a, a, alpha=2), (10,)), 10, {"TPROF-OPERAND": 10}),
    "in place": (call(lambda a: a.clone().mul_(2), (10,)), 0, {}),
    "norm": (layer(lambda: nn.BatchNorm2d(3), 1, 3, 4, 4), 0, {}),
    "conv1d": (layer(lambda: nn.Conv1d(3, 4, 3, bias=False), 1, 3, 8), 0, {"TPROF-CONV": 2 * 6 * 9 * 4}),
    "conv3d": (layer(lambda: nn.Conv3d(1, 2, 2, bias=False), 1, 1, 3, 3, 3), 0, {"TPROF-CONV": 2 * 8 * 8 * 2}),
    "transposed": (
        layer(lambda: nn.ConvTranspose2d(3, 4, 3, bias=False), 1, 3, 8, 8), 0, {"TPROF-CONV": 2 * 64 * 27 * 4}),
    "same": (
        layer(lambda: nn.Conv2d(3, 4, 3, padding="same", bias=False), 1, 3, 8, 8), 0, {"TPROF-CONV": 2 * 64 * 27 * 4}),
    "without batch": (
        layer(lambda: nn.Conv2d(3, 4, 3), 3, 8, 8), 0, {"TPROF-CONV": 2 * 36 * 27 * 4, "TPROF-BIAS": 144}),
    # two products of 2 · 2 heads, 3 × 3 scores of 4
    "attention": (
        call(functional.scaled_dot_product_attention, *[(2, 2, 3, 4)] * 3), 0, {"TPROF-SDPA": 2 * 2 * 4 * 9 * 4}),
    # 10 steps · (8 + 4) · 16, twice; the two biases of 16 are added once
    "lstm": (layer(lambda: nn.LSTM(8, 4), 5, 2, 8), 16, {"TPROF-RNN": 2 * 10 * 12 * 16, "TPROF-INSIDE": -16}),
    "lstm, plain": (layer(lambda: nn.LSTM(8, 4, bias=False), 5, 2, 8), 0, {"TPROF-RNN": 2 * 10 * 12 * 16}),
    "vector": (call(torch.mv, (5, 6), (6,)), 0, {"TPROF-OPS": 60}),
    "addmm in place": (
        call(lambda c, a, b: c.clone().addmm_(a, b), (2, 4), (2, 3), (3, 4)), 0, {"TPROF-OPS": 48}),
    "complex": (products(torch.complex64, (2, 3), (3, 4)), 48, {"TPROF-COMPLEX": 144}),
    # three real convolutions of 36 · 27 · 4; the sums of their weights, inputs and results, and one product of results
    "complex convolution": (
        lambda: given(
            nn.Conv2d(3, 4, 3, bias=False, dtype=torch.complex64), torch.ones(1, 3, 8, 8, dtype=torch.complex64)),
        2 * 3888 + 108 + 192 + 144 + 144, {"TPROF-COMPLEX": 4 * 3888}),
    "integers": (products(torch.int64, (2, 3), (3, 4)), 48, {}),
    # one number for each dimension
    "repeat": (call(lambda a: a.repeat(2, 1, 3), (4, 5)), 3, {"TPROF-INSIDE": -3}),
    # 30 · 31 products of 6 + 2, and 30 · 6 times −2
    "distances": (call(torch.cdist, (30, 6), (31, 6)), 2 * 30 * 31 * 8 + 180, {"TPROF-INSIDE": -180}),
    # 2 rows · 5 outputs of 3 · 4 products, and of 4 more
    "bilinear": (
        lambda: given(nn.Bilinear(3, 4, 5, bias=False), torch.ones(2, 3), torch.ones(2, 4)), 2 * 2 * 5 * 16, {}),
    # 10 tokens: 4 · 8 · 8 about the heads, 2 · 2 heads' two products of 5 × 5 scores of 4, and 16 · 8 in the second
    # layer; the first has as many, and is not seen
    "encoder layer": (
        layer(encoder_layer, 2, 5, 8), 2 * (10 * 256 + 800 + 10 * 128), {"TPROF-EPILOGUE": 2 * 10 * 128}),
    "encoder layer, gelu": (
        layer(lambda: encoder_layer(activation="gelu", norm_first=True), 2, 5, 8),
        2 * (10 * 256 + 800 + 10 * 128), {"TPROF-EPILOGUE": 2 * 10 * 128}),
    # 8 tokens are left, and the heads fill them up to 10
    "encoder, nested": (padded_encoder, 2 * (8 * 256 + 800 + 8 * 128), {"TPROF-EPILOGUE": 2 * 8 * 128}),
    # without its fast path: 10 tokens · (256 + 256); of the outputs, 24 get their bias in place, and 8, 16 and 8 in the
    # product; attention is one kernel; two residuals of 80 are added
    "encoder layer, training": (
        lambda: (encoder_layer(dropout=0.0).train(), (torch.ones(2, 5, 8),), {}), 2 * 10 * 512 + 160,
        {"TPROF-SDPA": 1600, "TPROF-INPLACE": 240, "TPROF-BIAS": 320}),
}  # fmt: skip

PEER_CASES = PeerCases("torch_profiler", {name: case[0] for name, case in CASES.items()})


#: Of the cases whose other arithmetic is easily counted, how much that is.
OTHER = {
    "linear": 0,
    "add": 0,
    "in place": 10,
    "addmm in place": 8,
    # 48 elements: subtract, multiply, scale and shift; of each channel: epsilon
    "norm": 48 * 4 + 3,
    # one bias, added to each output
    "bilinear": 10,
}


@pytest.mark.parametrize("case", CASES)
def test_every_difference_has_its_cause_in_the_right_amount(case):
    _, claimed, expected = CASES[case]
    finding = PEER_CASES.total(case)
    amounts = causes(finding)
    other = amounts.pop("TPROF-ELEM", 0)
    assert (finding.claim.error, finding.claim.claimed) == ("", claimed)
    assert amounts == expected
    assert finding.ours == claimed + sum(expected.values()) + other
    assert other == OTHER.get(case, other)


def test_every_deviation_has_a_case():
    shown = {code for _, _, expected in CASES.values() for code in expected}
    assert shown | {"TPROF-ELEM"} == {deviation.code for deviation in find_peer("torch_profiler").deviations}


def test_a_process_of_its_own_answers_with_a_total_alone(capfd):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.Flatten(), nn.Linear(256, 5))
    with PickledModel(LiveModel(model, (torch.ones(1, 3, 8, 8),), {})) as pickled:
        answer = run_peer("torch_profiler", pickled)
    assert (answer.total, answer.modules, answer.params) == (2 * 256 * 5, {}, None)
    assert capfd.readouterr() == ("", "")
