"""Attention and encoder layers in eval mode are the same fused operators on ``meta`` as on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn, overrides
from torch.nn.modules import module as module_hooks
from torch.overrides import BaseTorchFunctionMode
from torch.utils import backend_registration

import profiler
from profiler.trace.known_values import known_values

X, PADDING = (2, 7, 16), (2, 7)


class Attention(nn.Module):
    def __init__(self, *, need_weights=True, average=True, causal=False):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.options = {"need_weights": need_weights, "average_attn_weights": average}
        self.causal = causal

    def forward(self, x):
        mask = torch.ones(7, 7, dtype=torch.bool, device=x.device).triu(1) if self.causal else None
        return self.attention(x, x, x, attn_mask=mask, **self.options)


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)

    def forward(self, x, padding):
        return self.encoder(x, src_key_padding_mask=padding)


def layer(**options):
    return nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, **options)


CASES = {
    "averaged weights": Attention,
    "no weights": lambda: Attention(need_weights=False),
    "weights of each head": lambda: Attention(average=False),
    "causal": lambda: Attention(causal=True),
    "layer": layer,
    "layer with norms first": lambda: layer(norm_first=True, activation="gelu"),
    "layer without biases": lambda: layer(bias=False),
    "encoder": lambda: nn.TransformerEncoder(layer(), 2),
}


def figures(build, device, *, gradients):
    model = build().to(device).eval()
    x = torch.zeros(X, device=device)
    with torch.set_grad_enabled(gradients), profiler.profile(model) as p:
        model(x)
    rows = {row.operator: (row.calls, row.totals.flops, row.totals.bytes_read, row.totals.bytes_written)
            for row in p.operators}  # fmt: skip
    return rows, p.totals.peak_memory["total"]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_layer_runs_on_meta_what_it_runs_on_the_cpu(case, gradients):
    on_meta, on_cpu = (figures(CASES[case], device, gradients=gradients) for device in ("meta", "cpu"))
    assert on_meta == on_cpu
    is_fused = any("_native_multi_head" in name or "_encoder_layer_fwd" in name for name in on_cpu[0])
    assert is_fused == (not gradients and case != "layer without biases")


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_whose_lengths_are_not_known_on_meta_is_computed():
    """Torch alone cannot run it on meta. A mask that hides nothing stands for the same work on the CPU."""
    model = Padded().eval()
    on_cpu = profiler.count(model, torch.zeros(X), torch.zeros(PADDING, dtype=torch.bool))
    on_meta = profiler.count(
        model.to("meta"), torch.zeros(X, device="meta"), torch.zeros(PADDING, dtype=torch.bool, device="meta")
    )
    assert on_meta.totals.macs == on_cpu.totals.macs


class Raises(nn.MultiheadAttention):
    def forward(self, *args, **kwargs):
        assert overrides.has_torch_function is not ASKS
        raise ZeroDivisionError


ASKS = overrides.has_torch_function


def operators(context, model):
    x = torch.zeros(X, device="meta")
    with context, torch.no_grad(), profiler.profile(model) as p:
        model(x)
    return [row.operator for row in p.operators]


def test_the_fast_path_is_taken_where_values_are_known_too():
    """So the command runs models. Someone else's mode takes the other path, as it does on the CPU."""
    model = nn.Sequential(layer(), layer()).to("meta").eval()
    assert operators(known_values(), model) == ["aten._transformer_encoder_layer_fwd"]
    assert "aten.native_layer_norm" in operators(BaseTorchFunctionMode(), model)
    with BaseTorchFunctionMode():
        assert "aten.native_layer_norm" in operators(known_values(), model)
    assert overrides.has_torch_function is ASKS


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")
def test_torch_is_asked_as_before_after_a_layer_that_raises():
    hooks = len(module_hooks._global_forward_hooks)
    with known_values():
        model = nn.Sequential(nn.Identity(), Raises(16, 4))
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                model(torch.zeros(X, device="meta"))
            assert overrides.has_torch_function is ASKS
        torch.jit.script(nn.MultiheadAttention(16, 4))
    assert len(module_hooks._global_forward_hooks) == hooks


def test_torch_is_as_it_was_afterwards(monkeypatch):
    def names():
        kernels = torch._C._dispatch_get_registrations_for_dispatch_key("Meta")
        return backend_registration._privateuse1_backend_name, "aten::_nested_tensor_from_mask_left_aligned" in kernels

    before = names()
    with profiler.profile():
        assert names() == ("meta", True)
    assert names() == before
    monkeypatch.setattr(backend_registration, "_privateuse1_backend_name", "npu")
    with profiler.profile():
        assert names()[0] == "npu"
    assert names()[0] == "npu"
