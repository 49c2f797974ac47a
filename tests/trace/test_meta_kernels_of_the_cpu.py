"""Composite operators that are one kernel on the CPU are one operator on meta too, in training as well."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler


def figures(layer, device):
    model = nn.Sequential(nn.Conv2d(3, 8, 1), layer).to(device)
    with profiler.profile(model) as p:
        model(torch.zeros(2, 3, 6, 6, device=device)).sum().backward()
    rows = {(row.operator, row.dtype): (row.calls, row.totals.flops, row.totals.bytes_read) for row in p.operators}
    return rows, p.memory.peak.total


@pytest.mark.parametrize("layer", [nn.SiLU(), nn.Mish(), nn.ChannelShuffle(2), nn.SiLU(inplace=True)], ids=repr)
def test_a_layer_costs_on_meta_what_it_costs_on_the_cpu(layer):
    assert figures(layer, "meta") == figures(layer, "cpu")


def test_a_batch_norm_makes_no_gradient_of_an_input_that_needs_none():
    """Its backward writes the gradients of 8 weights and 8 biases: 64 bytes, and none of the input's 576."""
    for device in ("meta", "cpu"):
        model = nn.Sequential(nn.BatchNorm2d(8)).to(device)
        with profiler.profile(model) as p:
            model(torch.zeros(2, 8, 3, 3, device=device)).sum().backward()
        (backward,) = (row for row in p.operators if row.operator == "aten.native_batch_norm_backward")
        assert backward.totals.bytes_written == 64
        assert p.phases["backward"].peak_memory["gradient"] == 64


def test_no_other_operator_has_a_kernel_on_the_cpu_and_a_composition_elsewhere():
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    both = {name for name in names if has_kernel(name, "CompositeImplicitAutograd") and has_kernel(name, "CPU")}
    assert both == {"aten::silu_backward", "aten::mish_backward", "aten::native_channel_shuffle"}
