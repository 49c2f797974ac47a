"""Kernels that only CUDA has: each layer costs there what it costs on the CPU, and nothing is left uncounted.

Skipped without a CUDA device. The CPU runs other kernels (no cuDNN, no fused attention of CUDA), so that the two counts
share no formula where the kernels differ.
"""

from __future__ import annotations

import copy
import gc

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import profiler

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Attention(nn.Module):
    """Scaled dot-product attention alone."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, **self.options)


class Recurrent(nn.Module):
    """A recurrent layer that returns its sequence alone."""

    def __init__(self, kind, **options):
        super().__init__()
        self.layer = kind(8, 16, batch_first=True, **options)

    def forward(self, x):
        return self.layer(x)[0]


LAYERS = {
    "linear": (lambda: nn.Linear(16, 32), (4, 16)),
    "bilinear": (lambda: nn.Bilinear(8, 8, 4), (4, 8), (4, 8)),
    "conv1d": (lambda: nn.Conv1d(8, 16, 3), (2, 8, 20)),
    "conv2d": (lambda: nn.Conv2d(8, 16, 3, padding=1), (2, 8, 12, 12)),
    "conv2d, grouped": (lambda: nn.Conv2d(8, 16, 3, groups=4), (2, 8, 12, 12)),
    "conv2d, depthwise": (lambda: nn.Conv2d(8, 8, 3, groups=8), (2, 8, 12, 12)),
    "conv2d, dilated": (lambda: nn.Conv2d(8, 16, 3, dilation=2), (2, 8, 12, 12)),
    "conv3d": (lambda: nn.Conv3d(4, 8, 3), (2, 4, 6, 6, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 16, 3, stride=2), (2, 8, 6, 6)),
    "transposed, grouped": (lambda: nn.ConvTranspose2d(8, 16, 3, stride=2, groups=2), (2, 8, 6, 6)),
    "lstm": (lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), (3, 5, 8)),
    "lstm, projected": (lambda: Recurrent(nn.LSTM, proj_size=4), (3, 5, 8)),
    "gru": (lambda: Recurrent(nn.GRU, num_layers=2), (3, 5, 8)),
    "rnn": (lambda: Recurrent(nn.RNN, bidirectional=True), (3, 5, 8)),
    "batch norm": (lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), (4, 8, 6, 6)),
    "norms": (lambda: nn.Sequential(nn.LayerNorm(16), nn.GroupNorm(2, 16), nn.Linear(16, 16)), (4, 16)),
    "mlp in one call": (lambda: nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)), (4, 16)),
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), (2, 10, 32),
    ),
    "multi-head attention": (lambda: SelfAttention(32, 4), (2, 10, 32)),
}  # fmt: skip


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` of a sequence with itself."""

    def __init__(self, width, heads):
        super().__init__()
        self.layer = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        return self.layer(x, x, x, need_weights=False)[0]


def counted(model, *inputs, train):
    """Return the profile of a pass, with backward if *train*."""
    model.train(train)
    with torch.set_grad_enabled(train), profiler.profile(model) as p:
        out = model(*inputs)
        if train:
            out.float().sum().backward()
    return p.result


def complete(profile):
    """Whether every operator was counted."""
    assert [row.operator for row in profile.uncounted] == []
    return True


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_costs_on_cuda_what_it_costs_on_the_cpu(name, train):
    make, *shapes = LAYERS[name]
    model = make()
    inputs = [torch.randn(shape, requires_grad=train) for shape in shapes]
    there = copy.deepcopy(model).cuda()
    cpu, cuda = counted(model, *inputs, train=train), counted(there, *(x.cuda() for x in inputs), train=train)
    assert complete(cuda)
    assert cuda.totals.macs - (train and gradient_of_the_first_state(model)) == cpu.totals.macs > 0


def gradient_of_the_first_state(model):
    """Return the MACs of the gradient of the first hidden state, which the CPU's GRU does not compute (batch 3)."""
    layer = getattr(model, "layer", None)
    if not isinstance(layer, nn.RNNBase) or (isinstance(layer, nn.LSTM) and not layer.proj_size):
        return 0
    gates = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}[type(layer)]
    state = layer.proj_size or layer.hidden_size
    return 3 * layer.num_layers * (1 + layer.bidirectional) * state * gates * layer.hidden_size


BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION, "math": SDPBackend.MATH,
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("causal", [False, True])
def test_forward_of_attention_costs_the_same_on_every_backend(backend, causal):
    q, k, v = (torch.randn(2, 4, length, 64, device="cuda", dtype=torch.bfloat16) for length in (128, 128, 128))
    with sdpa_kernel(BACKENDS[backend]):
        profile = counted(Attention(is_causal=causal), q, k, v, train=False)
    assert complete(profile)
    assert profile.totals.macs == 2 * 2 * 4 * 128 * 128 * 64


@pytest.mark.parametrize("backend", BACKENDS)
def test_backward_of_attention_recomputes_the_scores_once_where_they_are_not_stored(backend):
    q, k, v = (torch.randn(2, 4, 128, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    with sdpa_kernel(BACKENDS[backend]):
        profile = counted(Attention(), q, k, v, train=True)
    product = 2 * 4 * 128 * 128 * 64
    assert complete(profile)
    assert profile.totals.macs == (2 + 4 + (backend != "math")) * product


@pytest.mark.parametrize("way", ["fused", "foreach"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_step_of_an_optimizer_is_counted(kind, way):
    model = nn.Linear(16, 16).cuda()
    optimizer = kind(model.parameters(), lr=0.1, **{way: True})
    with profiler.profile(model) as p:
        model(torch.randn(4, 16, device="cuda")).sum().backward()
        optimizer.step()
    assert complete(p.result)


def test_eight_bit_products_are_counted():
    class Products(nn.Module):
        def forward(self, a, b):
            one = torch.ones((), device="cuda")
            whole = torch._int_mm(a, b.t())
            eight = [x.to(torch.float8_e4m3fn) for x in (a, b)]
            scaled = torch._scaled_mm(eight[0], eight[1].t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
            return whole.float() + scaled.float()

    a, b = (torch.ones(64, 64, dtype=torch.int8, device="cuda") for _ in range(2))
    profile = counted(Products(), a, b, train=False)
    assert complete(profile)
    assert profile.totals.macs == 2 * 64**3


def test_grouped_products_are_counted():
    class Grouped(nn.Module):
        def forward(self, x, weights, offsets):
            return torch._grouped_mm(x, weights, offs=offsets)

    x = torch.ones(96, 64, device="cuda", dtype=torch.bfloat16)
    weights = torch.ones(3, 64, 128, device="cuda", dtype=torch.bfloat16)
    offsets = torch.tensor([32, 64, 96], device="cuda", dtype=torch.int32)
    profile = counted(Grouped(), x, weights, offsets, train=False)
    assert complete(profile)
    assert profile.totals.macs == 96 * 64 * 128


def test_ctc_loss_and_sampling_are_counted():
    class Loss(nn.Module):
        def forward(self, x):
            targets = torch.ones(2, 5, dtype=torch.int32, device="cuda")
            lengths, sizes = (torch.full((2,), n, dtype=torch.int32, device="cuda") for n in (20, 5))
            return F.ctc_loss(x.log_softmax(-1), targets, lengths, sizes)

    profile = counted(Loss(), torch.randn(20, 2, 10, device="cuda", requires_grad=True), train=True)
    assert complete(profile)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_costs_what_the_eager_one_costs():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).cuda()
    x = torch.randn(2, 3, 8, 8, device="cuda")
    eager = counted(model, x, train=False)
    assert counted(torch.compile(model), x, train=False).totals.macs == eager.totals.macs > 0


def test_a_first_use_of_a_library_leaves_the_random_state_of_cuda():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)).cuda().train()
    x = torch.randn(2, 8, device="cuda")
    before = torch.cuda.get_rng_state()
    profiler.count(model, x)
    assert torch.equal(before, torch.cuda.get_rng_state())


@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
def test_the_counted_peak_is_what_was_asked_of_the_allocator(train):
    # without biases: the kernel that sums a bias's gradient takes scratch memory of its own, which is no tensor
    model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(2048, 2048, bias=False), nn.GELU()))).cuda()
    x = torch.randn(4096, 2048, device="cuda")
    counted(model, x, train=train)  # the libraries' workspaces are allocated once, and stay
    model.zero_grad(set_to_none=True)
    gc.collect()
    before = torch.cuda.memory_stats()["requested_bytes.all.current"]
    torch.cuda.reset_peak_memory_stats()
    profile = counted(model, x, train=train)
    asked = torch.cuda.memory_stats()["requested_bytes.all.peak"] - before
    held = sum(tensor.nbytes for tensor in (x, *model.parameters()))
    assert profile.memory.peak.total - held == pytest.approx(asked, rel=0.001)
