"""fvcore: each deviation on the smallest case that shows it, counted by hand."""

from __future__ import annotations

import pytest
import torch
from peers.models import FunctionModule, call, encoder_layer, layer, padded_encoder
from peers.peer_cases import PeerCases, causes, given
from torch import nn
from torch.nn import functional
from torchvision.models.detection import roi_heads

import profiler
from profiler.peers import LiveModel, PeerResult, PickledModel, find_peer, run_peer
from profiler.reconcile import count_with_facts, reconcile
from profiler.values.findings import Verdict

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return a @ b


class UnusedLayer(nn.Module):
    """Calls a layer whose output it does not use."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(3, 4), nn.Linear(3, 5)

    def forward(self, x):
        self.unused(x)
        return self.used(x)


class Shared(nn.Module):
    """One layer under two parents, called once under the first and three times under the second."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 3))
        self.second = nn.Sequential(self.first[0])

    def forward(self, x):
        return self.second(self.second(self.second(self.first(x))))


class SliceAssignment(nn.Module):
    """Assigns a product to a slice of a tensor, which it returns."""

    def forward(self, a, b):
        whole = torch.zeros(9, 7)
        whole[:5] = a @ b
        return whole


class KeywordModel(nn.Module):
    """Takes keyword arguments, one of them a flag, and returns a dictionary."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x, *, twice=False, y=None):
        return {"out": [self.layer(x), self.layer(y) if twice else None]}


def training(make, *shape):
    def case():
        return make().train(), (torch.ones(shape),), {}

    return case


def self_attention():
    """Return an attention module that uses its input as query, key and value."""
    return FunctionModule(lambda model, q: model(q, q, q)[0], nn.MultiheadAttention(8, 2, batch_first=True))


def pasted(masks, boxes):
    return roi_heads.paste_masks_in_image(masks, boxes * torch.tensor([1.0, 1.0, 6.0, 6.0]), (8, 8))


def frozen(model):
    return model.requires_grad_(requires_grad=False)


#: By name: the case, what fvcore claims, and the amount of each cause.
CASES = {
    # 2 rows · 3 · 4
    "linear": (layer(lambda: nn.Linear(3, 4), 2, 3), 24, {}),
    "addmm": (call(torch.addmm, (2, 4), (2, 3), (3, 4)), 24, {}),
    "bmm": (call(torch.bmm, (5, 2, 3), (5, 3, 4)), 120, {}),
    # 36 places of a 3 × 3 kernel · 9 · 2 channels of each of 2 groups · 4 in all
    "grouped convolution": (layer(lambda: nn.Conv2d(4, 4, 3, groups=2), 1, 4, 8, 8), 36 * 9 * 2 * 4, {}),
    # each of 64 inputs times a 3 × 3 kernel, 2 groups of 2 × 2 channels
    "transposed": (layer(lambda: nn.ConvTranspose2d(4, 4, 3, groups=2), 1, 4, 8, 8), 64 * 9 * 8, {}),
    "without batch": (layer(lambda: nn.Conv1d(3, 4, 3), 3, 8), 6 * 3 * 3 * 4, {}),
    # cells are made of linear layers, and the tracer looks into them: 2 · (8 + 4) · 4 gates of 4
    "lstm cell": (layer(lambda: nn.LSTMCell(8, 4), 2, 8), 2 * 12 * 16, {}),
    "gru cell": (layer(lambda: nn.GRUCell(8, 4), 2, 8), 2 * 12 * 12, {}),
    "mean like a pool": (call(lambda x: x.mean((-1, -2), keepdim=True), (1, 3, 8, 8)), 0, {}),
    "written into a part": (lambda: given(SliceAssignment(), torch.ones(5, 6), torch.ones(6, 7)), 210, {}),
    "keywords": (lambda: given(KeywordModel(), torch.ones(2, 3), twice=True, y=torch.ones(1, 3)), 36, {}),
    "by forward": (lambda: given(FunctionModule(nn.Linear.forward, nn.Linear(3, 4)), torch.ones(2, 3)), 24, {}),
    # 30 elements: 5 each with a weight, 4 without
    "layer norm": (layer(lambda: nn.LayerNorm(6), 5, 6), 150, {"FV-NORM": -150}),
    "layer norm, plain": (
        layer(lambda: nn.LayerNorm(6, elementwise_affine=False), 5, 6), 120, {"FV-NORM": -120}),
    "group norm": (layer(lambda: nn.GroupNorm(1, 3), 1, 3, 8, 8), 960, {"FV-NORM": -960}),
    "instance norm": (layer(lambda: nn.InstanceNorm2d(3), 1, 3, 8, 8), 768, {"FV-NORM": -768}),
    # 192 elements: 2 each with a weight, 1 without; 5 where statistics are taken
    "batch norm": (layer(lambda: nn.BatchNorm2d(3), 1, 3, 8, 8), 384, {"FV-NORM": -384}),
    "batch norm, plain": (
        layer(lambda: nn.BatchNorm2d(3, affine=False), 1, 3, 8, 8), 192, {"FV-NORM": -192}),
    "batch norm, training": (training(lambda: nn.BatchNorm2d(3), 1, 3, 8, 8), 960, {"FV-NORM": -960}),
    "pool": (layer(lambda: nn.AdaptiveAvgPool2d(1), 1, 3, 8, 8), 192, {"FV-POOL": -192}),
    "pool by function": (
        call(lambda x: functional.adaptive_avg_pool2d(x, (2, 3)), (1, 3, 8, 8)), 192, {"FV-POOL": -192}),
    # 3 channels of 16 × 16: 4 each, or 1
    "bilinear": (layer(lambda: nn.Upsample(scale_factor=2, mode="bilinear"), 1, 3, 8, 8), 3072, {"FV-RESAMPLE": -3072}),
    "nearest": (layer(lambda: nn.Upsample(scale_factor=2), 1, 3, 8, 8), 768, {"FV-RESAMPLE": -768}),
    "bicubic": (layer(lambda: nn.Upsample(scale_factor=2, mode="bicubic"), 1, 3, 8, 8), 0, {}),
    # 3 channels of 4 × 4, 4 each
    "grid": (
        call(lambda x, g: functional.grid_sample(x, g, align_corners=False), (1, 3, 8, 8), (1, 4, 4, 2)),
        192, {"FV-RESAMPLE": -192}),
    # two products of 2 · 2 heads, 3 × 3 scores of 4
    "attention": (call(functional.scaled_dot_product_attention, *[(2, 2, 3, 4)] * 3), 0, {"FV-SDPA": 2 * 4 * 9 * 4}),
    # 10 steps · (8 + 4) · 4 hidden · gates
    "lstm": (layer(lambda: nn.LSTM(8, 4), 5, 2, 8), 0, {"FV-RNN": 10 * 12 * 4 * 4}),
    "gru": (layer(lambda: nn.GRU(8, 4), 5, 2, 8), 0, {"FV-RNN": 10 * 12 * 4 * 3}),
    "rnn": (layer(lambda: nn.RNN(8, 4), 5, 2, 8), 0, {"FV-RNN": 10 * 12 * 4}),
    "relu rnn": (layer(lambda: nn.RNN(8, 4, nonlinearity="relu"), 5, 2, 8), 0, {"FV-RNN": 10 * 12 * 4}),
    "same": (layer(lambda: nn.Conv2d(3, 4, 3, padding="same"), 1, 3, 8, 8), 0, {"FV-SAME": 64 * 9 * 3 * 4}),
    "valid": (layer(lambda: nn.Conv1d(3, 4, 3, padding="valid"), 1, 3, 8), 0, {"FV-SAME": 6 * 3 * 3 * 4}),
    "baddbmm": (call(torch.baddbmm, (2, 3, 5), (2, 3, 4), (2, 4, 5)), 0, {"FV-UNSUPPORTED": 120}),
    "vector": (call(torch.mv, (5, 6), (6,)), 0, {"FV-UNSUPPORTED": 30}),
    "in place": (
        call(lambda c, a, b: c.clone().addmm_(a, b), (2, 4), (2, 3), (3, 4)), 0, {"FV-UNSUPPORTED": 24}),
    "tensordot": (call(lambda a, b: torch.tensordot(a, b, 1), (5, 6), (6, 7)), 0, {"FV-UNSUPPORTED": 210}),
    # (5, 6) times each of three (6, 7)
    "broadcast": (call(torch.matmul, (5, 6), (3, 6, 7)), 210, {"FV-BROADCAST": 420}),
    "other side": (call(torch.matmul, (3, 5, 6), (6, 7)), 630, {}),
    # a product that is not summed is no multiply-add; numpy says 90
    "outer": (call(lambda a, b: torch.einsum("i,j->ij", a, b), (9,), (10,)), 45, {"FV-EINSUM": -45}),
    # 3 · 123 · 57 · 91 = 1,914,003, of which numpy writes four digits
    "rounded": (
        call(lambda a, b: torch.einsum("b i k, b k j -> b i j", a, b), (3, 123, 57), (3, 57, 91)),
        1_914_000, {"FV-EINSUM": 3}),
    "known": (
        call(lambda a, b: torch.einsum("bti,btj->bij", a, b), (3, 123, 57), (3, 123, 91)), 1_914_003, {}),
    "known, transposed": (
        call(lambda a, b: torch.einsum("btc,bsc->bst", a, b), (3, 123, 57), (3, 91, 57)), 3 * 123 * 57 * 91, {}),
    "complex": (
        lambda: given(nn.Linear(3, 4, dtype=torch.complex64), torch.ones(2, 3, dtype=torch.complex64)),
        24, {"FV-COMPLEX": 72}),
    # runs as three real ones, of which each is 64 · 9 · 3 · 4, and the tracer sees these
    "complex convolution": (
        lambda: given(
            nn.Conv2d(3, 4, 3, padding=1, dtype=torch.complex64), torch.ones(1, 3, 8, 8, dtype=torch.complex64)),
        3 * 6912, {}),
    "function": (call(lambda a, b: Product.apply(a, b) @ b, (2, 3), (3, 3)), 18, {"FV-FUNCTION": 18}),
    # its resampling is in a scripted function while it is traced
    "pasted masks": (call(pasted, (1, 1, 4, 4), (1, 4)), 0, {}),
    "unused": (lambda: given(UnusedLayer(), torch.ones(2, 3)), 24, {"FV-UNUSED": 30}),
    "shared": (lambda: given(Shared(), torch.ones(2, 3)), 72, {"FV-ALIAS": 0}),
    # 10 tokens: 3 · 8 · 8 into the heads and 8 · 8 out of them, 2 · 8 · 16 in the layers; both norms 5 of 80;
    # 2 · 2 heads' two products of 5 × 5 scores of 4
    "encoder layer": (
        lambda: given(encoder_layer(), torch.ones(2, 5, 8)), 10 * (256 + 256) + 800,
        {"FV-NORM": -800, "FV-SDPA": 800, "FV-FASTPATH": 0}),
    "encoder layer, training": (
        training(encoder_layer, 2, 5, 8), 10 * (256 + 256) + 800, {"FV-NORM": -800, "FV-SDPA": 800}),
    # without its padding, 8 of 10 tokens are left, where we run
    "encoder, nested": (
        padded_encoder, 10 * (256 + 256) + 800, {"FV-NORM": -800, "FV-SDPA": 800, "FV-FASTPATH": -2 * (256 + 256)}),
    # without parameters that need gradients the tracer, too, takes the fast path of the attention
    "frozen attention": (
        lambda: given(frozen(self_attention()), torch.ones(2, 5, 8)), 0, {"FV-UNSUPPORTED": 10 * 256 + 800}),
    "attention module": (lambda: given(self_attention(), torch.ones(2, 5, 8)), 10 * 256 + 800, {}),
}  # fmt: skip

#: Cases on which fvcore raises, and the type of its exception.
FAILURES = {
    "matrix with vector": (call(torch.matmul, (3, 5, 6), (6,)), "IndexError"),
    "norm of one dimension": (layer(lambda: nn.LayerNorm(6), 6), "AssertionError"),
    "convolution on meta": (
        lambda: given(nn.Conv1d(3, 4, 3, device="meta"), torch.ones(1, 3, 8, device="meta")), "TypeError"),
}  # fmt: skip

PEER_CASES = PeerCases("fvcore", {name: case[0] for name, case in (CASES | FAILURES).items()})


@pytest.mark.parametrize("case", CASES)
def test_every_difference_has_its_cause_in_the_right_amount(case):
    _, claimed, expected = CASES[case]
    finding = PEER_CASES.total(case)
    assert finding.claim.error == ""
    assert finding.claim.claimed == claimed
    assert finding.ours == claimed + sum(expected.values())
    assert causes(finding) == expected


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_at_any_module(case):
    assert not {subject: f.unexplained for subject, f in PEER_CASES.findings(case).items() if f.unexplained}


def test_every_deviation_has_a_case():
    shown = {code for _, _, expected in CASES.values() for code in expected}
    assert shown == {deviation.code for deviation in find_peer("fvcore").deviations}


def test_work_of_a_shared_layer_is_explained_where_it_was_called():
    first, second = (PEER_CASES.findings("shared")[path, "MAC"] for path in ("first", "second"))
    assert (first.claim.claimed, first.ours, causes(first)) == (72, 18, {"FV-ALIAS": -54})
    assert (second.claim.claimed, second.ours, causes(second)) == (0, 54, {"FV-ALIAS": 54})


def test_a_fused_layer_is_explained_at_the_modules_inside():
    findings = PEER_CASES.findings("encoder layer")
    attention, inner = findings["self_attn", "MAC"], findings["linear1", "MAC"]
    assert (attention.claim.claimed, attention.ours) == (2560, 0)
    assert causes(attention) == {"FV-FASTPATH": -3360, "FV-SDPA": 800}
    assert (inner.claim.claimed, inner.ours, causes(inner)) == (1280, 0, {"FV-FASTPATH": -1280})


def test_parameters_are_compared_too():
    finding = PEER_CASES.total("shared", "parameter")
    assert (finding.claim.claimed, finding.ours, finding.verdict) == (12, 12, Verdict.AGREES)


@pytest.mark.parametrize("case", FAILURES)
def test_what_fvcore_cannot_count_is_a_failure_in_its_own_words(case):
    finding = PEER_CASES.total(case)
    assert finding.verdict is Verdict.FAILED
    assert finding.claim.error.startswith(FAILURES[case][1])


def test_a_process_of_its_own_answers_with_modules_and_parameters_and_its_log_stays_there(capfd):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 5))
    args = (torch.ones(1, 3, 8, 8),)
    with PickledModel(LiveModel(model, args, {})) as pickled:
        answer = run_peer("fvcore", pickled)
    conv, linear = 36 * 27 * 4, 144 * 5
    assert answer == PeerResult(
        conv + linear,
        {"": conv + linear, "0": conv, "1": 0, "2": 0, "3": linear},
        112 + 725,
        {"": 837, "0": 112, "3": 725},
    )
    assert capfd.readouterr() == ("", "")
    findings = reconcile(*count_with_facts(model, args, {}, profiler.count), find_peer("fvcore"), answer)
    assert {finding.verdict for finding in findings} == {Verdict.AGREES}
