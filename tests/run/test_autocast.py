"""Autocast on meta against torch's own, which runs on fake tensors of CUDA without a GPU."""

from __future__ import annotations

import copy
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from profiler.errors import InputError
from profiler.run import autocast
from profiler.run.step_options import StepOptions
from profiler.targets import build, make_inputs, resolve

HEADER = Path(torch.__file__).parent / "include/ATen/autocast_mode.h"
LISTS = {
    "AT_FORALL_LOWER_PRECISION_FP": autocast.LOWER_PRECISION, "AT_FORALL_FP32": autocast.FLOAT32,
    "AT_FORALL_FP32_SET_OPT_DTYPE": autocast.FLOAT32_BY_DTYPE, "AT_FORALL_PROMOTE": autocast.PROMOTE,
}  # fmt: skip


@pytest.mark.skipif(not HEADER.exists(), reason="torch without its headers")
@pytest.mark.parametrize("name", LISTS)
def test_the_lists_are_those_of_the_installed_torch(name):
    text = HEADER.read_text().replace("\\\n", " ")
    entries = re.search(rf"#define {name}\(_\)(.*)", text)[1]
    assert LISTS[name] == set(re.findall(r"_\((\w+)", entries))


class Log(TorchDispatchMode):
    """Records each operator that computes, with the shapes and dtypes of its results."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").partition(".")[0].replace("cudnn_batch", "native_batch")
        if not func.is_view and name not in {"empty", "detach", "_reshape_alias"}:
            results = [(tuple(t.shape), str(t.dtype)) for t in tree_leaves(out)[:1] if isinstance(t, torch.Tensor)]
            self.calls[name, *results] += bool(results)
        return out


@contextmanager
def torchs_own(dtype):
    """Turn CUDA's autocast on; without a GPU, ``torch.autocast`` refuses."""
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


def on_fake_cuda(model, mode):
    """Put a copy of a model on meta onto fake CUDA."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for tensors, kind in ((module._parameters, nn.Parameter), (module._buffers, lambda tensor: tensor)):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = kind(FakeTensor(mode, tensor.detach(), torch.device("cuda")))
    return model


def logs(model, inputs, dtype):
    """Return what runs by our autocast on meta, and by torch's on fake CUDA."""
    ours, mode, theirs = Log(), FakeTensorMode(allow_non_fake_inputs=True), Log()
    with torch.no_grad(), autocast.cuda_autocast(dtype), ours:
        model(*inputs)
    there = on_fake_cuda(model, mode)
    with mode:
        moved = [torch.empty(x.shape, dtype=x.dtype, device="cuda") for x in inputs]
        with torch.no_grad(), torchs_own(dtype), theirs:
            there(*moved)
    return ours.calls, theirs.calls


class Call(nn.Module):
    """A function of the inputs and of a parameter of 8 × 8."""

    def __init__(self, run):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8, device="meta"))
        self.run = run

    def forward(self, *inputs):
        return self.run(self.weight, *inputs)


IMAGE = (2, 8, 6, 6)
CALLS = {
    "matmul": (lambda w, x: x @ w, (4, 8)),
    "method": (lambda w, x: x.matmul(w).mm(w.t()), (4, 8)),
    "einsum": (lambda w, x: torch.einsum("ij,jk->ik", x, w), (4, 8)),
    "addmm": (lambda w, x: torch.addmm(x, x, w), (8, 8)),
    "twice the same weight": (lambda w, x: functional.linear(functional.linear(x, w), w), (4, 8)),
    "layer norm": (lambda w, x: functional.layer_norm(functional.linear(x, w), (8,)), (4, 8)),
    "group norm": (lambda _, x: functional.group_norm(x.half(), 2), IMAGE),
    "softmax": (lambda w, x: functional.softmax(functional.linear(x, w), -1), (4, 8)),
    "softmax with its dtype": (lambda w, x: functional.softmax(functional.linear(x, w), -1, dtype=torch.half), (4, 8)),
    "log softmax": (lambda w, x: functional.linear(x, w).log_softmax(-1), (4, 8)),
    "sum": (lambda w, x: functional.linear(x, w).sum(), (4, 8)),
    "sums": (lambda w, x: functional.linear(x, w).sum(1), (4, 8)),
    "mean": (lambda w, x: functional.linear(x, w).mean(1), (4, 8)),
    "product": (lambda w, x: functional.linear(x, w).prod(), (4, 8)),
    "cumulated": (lambda w, x: functional.linear(x, w).cumsum(1), (4, 8)),
    "norm": (lambda w, x: functional.normalize(functional.linear(x, w)), (4, 8)),
    "power": (lambda w, x: functional.linear(x, w) ** 2, (4, 8)),
    "power in place": (lambda w, x: functional.linear(x, w).pow_(2), (4, 8)),
    "exp": (lambda w, x: functional.linear(x, w).exp() + functional.linear(x, w), (4, 8)),
    "gelu": (lambda w, x: functional.gelu(functional.linear(x, w)), (4, 8)),
    "softplus": (lambda w, x: functional.softplus(functional.linear(x, w)), (4, 8)),
    "cat": (lambda w, x: torch.cat([functional.linear(x, w), x]), (4, 8)),
    "addcmul": (lambda w, x: torch.addcmul(x, functional.linear(x, w), x), (4, 8)),
    "bilinear": (lambda w, x: functional.bilinear(x, x, w[None]), (4, 8)),
    "doubles": (lambda w, x: functional.linear(x.double(), w.double()), (4, 8)),
    "cross entropy": (
        lambda w, x: functional.cross_entropy(functional.linear(x, w), x.new_zeros(4, dtype=torch.long)),
        (4, 8),
    ),
    "mean squared error": (lambda w, x: functional.mse_loss(functional.linear(x, w), x), (4, 8)),
    "smooth l1": (lambda w, x: functional.smooth_l1_loss(functional.linear(x, w), x), (4, 8)),
    "upsampled": (lambda _, x: functional.interpolate(x.half(), scale_factor=2.0, mode="bilinear"), IMAGE),
    "nearest": (lambda _, x: functional.interpolate(x.half(), scale_factor=2.0), IMAGE),
    "pooled": (lambda _, x: functional.adaptive_avg_pool2d(functional.max_pool2d(x.half(), 2), 1), IMAGE),
    "distance": (lambda w, x: torch.cdist(functional.linear(x, w), x), (4, 8)),
    "cosine": (lambda w, x: functional.cosine_similarity(functional.linear(x, w), x), (4, 8)),
    "sampled": (
        lambda _, x: functional.grid_sample(functional.conv2d(x, x[:1, :, :1, :1]), x[..., :2], align_corners=False),
        (2, 2, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_a_function_casts_what_autocast_casts(name, dtype):
    run, shape = CALLS[name]
    ours, theirs = logs(Call(run), [torch.empty(shape, device="meta")], dtype)
    assert ours == theirs


class SelfAttention(nn.Module):
    """Multi-head attention with the weights returned, so that no fused kernel hides them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.layer(x, x, x)[0]


LAYERS = {
    "conv": (lambda: nn.Sequential(nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), IMAGE),
    "transposed": (lambda: nn.ConvTranspose2d(8, 4, 3), IMAGE),
    "instance norm": (lambda: nn.Sequential(nn.Conv2d(8, 4, 3), nn.InstanceNorm2d(4)), IMAGE),
    "embedding": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Softmax(-1)), (4, 6)),
    "attention": (SelfAttention, (2, 5, 8)),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (2, 5, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_casts_what_autocast_casts(name):
    make, shape = LAYERS[name]
    with torch.device("meta"):
        model = make()
    ours, theirs = logs(model, [torch.empty(shape, device="meta")], torch.float16)
    assert casts(ours) == casts(theirs)  # a product of a tensor that is not contiguous is another operator on meta


def casts(calls):
    """Return the casts alone."""
    return {call: times for call, times in calls.items() if call[0] == "_to_copy"}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "regnet_y_400mf", "densenet121"])
def test_a_model_casts_what_autocast_casts(name):
    target = resolve(name)
    model = build(target)
    args, _ = make_inputs(target, model, batch=2)
    ours, theirs = logs(model, args, torch.float16)
    assert ours == theirs


def test_the_fast_path_of_transformer_layers_is_as_before():
    before = torch.backends.mha.get_fastpath_enabled()
    with autocast.cuda_autocast(torch.float16):
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_a_step_under_autocast_casts_its_gradients_back():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).to("meta")
    run = autocast.under_autocast(StepOptions(), "bfloat16")
    profile = run(model, (torch.empty(2, 8, device="meta"),), {})
    plain = StepOptions()(model, (torch.empty(2, 8, device="meta"),), {})
    assert profile.totals.macs == plain.totals.macs > 0
    assert {row.dtype for row in profile.operators if row.totals.macs} == {"bfloat16"}
    assert profile.memory.peak.bytes["gradient"] >= 4 * (8 * 16 + 16 * 4)  # of float32 parameters


def test_another_dtype_is_refused_in_words():
    with pytest.raises(InputError, match="autocast to 'int8' is not possible; write float16 or bfloat16"):
        autocast.under_autocast(StepOptions(), "int8")
