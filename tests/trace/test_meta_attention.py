"""Attention on meta against the CPU's own kernel: in training, without gradients, and in inference mode."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

import profiler

QUERY, KEY = (2, 4, 24, 16), (2, 4, 40, 16)


class Attention(nn.Module):
    """Attention of projected inputs, so that a backward pass has something to do before and after it."""

    def __init__(self, width, dtype, **options):
        super().__init__()
        self.project = nn.Linear(width, width, bias=False, dtype=dtype)
        self.options = options

    def forward(self, query, key, value, mask=None):
        project = self.project
        return functional.scaled_dot_product_attention(
            project(query), project(key), project(value), attn_mask=mask, **self.options
        )


CASES = {
    "plain": (QUERY, KEY, None, {}),
    "causal": (QUERY, QUERY, None, {"is_causal": True}),
    "scaled": (QUERY, KEY, None, {"scale": 0.3}),
    "mask of numbers": (QUERY, KEY, torch.zeros(2, 4, 24, 40), {}),
    "mask that is broadcast": (QUERY, KEY, torch.zeros(1, 1, 24, 40), {}),
    "mask of truths": (QUERY, KEY, torch.ones(24, 40, dtype=torch.bool), {}),
    "grouped queries": (QUERY, (2, 2, 40, 16), None, {"enable_gqa": True}),
    "three dimensions": (QUERY[1:], KEY[1:], None, {}),
}


def run(device, name, dtype, train):
    query, key, mask, options = CASES[name]
    model = Attention(16, dtype, **options).to(device)
    tensors = [torch.zeros(shape, dtype=dtype, device=device) for shape in (query, key, key)]
    if mask is not None:
        tensors.append(mask.to(device, dtype if mask.is_floating_point() else mask.dtype))
    with torch.set_grad_enabled(train), profiler.profile(model) as p:
        out = model(*tensors)
        if train:
            out.sum().backward()
    return p.result


@pytest.mark.parametrize("train", [False, True], ids=["without gradients", "training"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_attention_on_meta_is_that_of_the_cpu(name, dtype, train):
    cpu, meta = (run(device, name, dtype, train) for device in ("cpu", "meta"))
    rows = [{(r.operator, r.dtype): (r.calls, r.totals) for r in p.operators if r.totals.macs} for p in (cpu, meta)]
    assert rows[0] == rows[1]
    assert meta.memory.peak.total == cpu.memory.peak.total
    assert meta.memory.activations == cpu.memory.activations


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_dropout_is_fused_as_on_a_gpu(dtype, masked):
    model = Attention(16, dtype, dropout_p=0.1).to("meta")
    query = torch.empty(QUERY, dtype=dtype, device="meta")
    mask = torch.empty(24, 24, dtype=dtype, device="meta") if masked else None
    with profiler.profile(model) as p:
        model(query, query, query, mask).sum().backward()
    scores = 2 * 4 * 24 * 24 * 16
    attention = [row for row in p.result.operators if "attention" in row.operator]
    assert sum(row.totals.macs for row in attention) == (2 + 5) * scores
    assert not any("softmax" in row.operator for row in p.result.operators)
    assert not p.result.uncounted


def test_the_composition_runs_where_its_user_asks_for_it():
    with sdpa_kernel(SDPBackend.MATH):
        profile = run("meta", "plain", torch.float32, train=True)
    assert any("softmax" in row.operator for row in profile.operators)
    with sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        profile = profiler.count(
            Attention(16, torch.float32).to("meta"), *(torch.empty(QUERY, device="meta") for _ in range(3))
        )
    assert any("softmax" in row.operator for row in profile.operators)


def kernels():
    return torch._C._dispatch_has_kernel_for_dispatch_key("aten::scaled_dot_product_attention", "AutogradMeta")


def test_the_kernel_is_in_the_dispatcher_while_a_profile_records_and_no_longer():
    inside, go_on = threading.Event(), threading.Event()

    def other():
        with profiler.profile(nn.Linear(2, 2)):
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=other)
    assert not kernels()
    with profiler.profile(nn.Linear(2, 2)):
        thread.start()
        inside.wait()
        assert kernels()
    assert kernels()
    go_on.set()
    thread.join()
    assert not kernels()


def test_the_bytes_of_training_grow_with_the_length_and_not_with_its_square():
    peaks = []
    for length in (1024, 4096):
        model = Attention(16, torch.bfloat16, is_causal=True).to("meta")
        query = torch.empty(1, 4, length, 16, dtype=torch.bfloat16, device="meta")
        peaks.append(profiler.count_step(model, query, query, query).memory.peak.total)
    assert peaks[1] / peaks[0] < 4.1
