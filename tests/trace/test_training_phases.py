"""The phase and the module that the work of a training step is attributed to."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler

X = torch.ones(2, 4)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def macs(p) -> dict[tuple[str, str], int]:
    """Sum MACs by phase and module."""
    sums: Counter[tuple[str, str]] = Counter()
    for entry in p.entries:
        sums[entry.record.phase, entry.record.module] += entry.totals.macs
    return {key: value for key, value in sums.items() if value}


FORWARD = {("forward", "0"): 2 * 4 * 8, ("forward", "2"): 2 * 8 * 3}


def test_gradients_belong_to_the_module_whose_forward_made_them():
    model = net()
    with profiler.profile(model) as p:
        model(X).sum().backward()
    # each layer: its weight's gradient; the second also its input's, which the first one needs
    assert macs(p) == FORWARD | {("backward", "0"): 64, ("backward", "2"): 2 * 48}
    assert sum(t.macs for t in p.phases.values()) == p.totals.macs


def test_an_input_that_requires_its_gradient_costs_the_first_layer_one_product_more():
    model = net()
    with profiler.profile(model) as p:
        model(X.clone().requires_grad_()).sum().backward()
    assert macs(p)["backward", "0"] == 2 * 64


def test_a_frozen_layer_has_no_weight_gradient():
    model = net()
    model[0].requires_grad_(False)
    with profiler.profile(model) as p:
        model(X).sum().backward()
    assert macs(p) == FORWARD | {("backward", "2"): 48}


@pytest.mark.parametrize("of_module", [True, False])
def test_what_a_checkpoint_runs_again_is_recompute(of_module):
    model = net()
    function = model if of_module else lambda x: model[2].forward(model[0].forward(x).relu())
    with profiler.profile(model) as p:
        checkpoint(function, X.clone().requires_grad_(), use_reentrant=False).sum().backward()
    again = {key: value for key, value in macs(p).items() if key[0] == "recompute"}
    # torch stops early: the last layer's output is not needed again
    assert sum(again.values()) == 64


def test_a_reentrant_checkpoint_runs_everything_again():
    model = net()
    with profiler.profile(model) as p:
        checkpoint(model, X.clone().requires_grad_(), use_reentrant=True).sum().backward()
    assert p.phases["recompute"].macs == p.phases["forward"].macs
    assert macs(p)["backward", "2"] == 2 * 48


def test_an_optimizer_step_is_a_phase_of_its_own():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with profiler.profile(model) as p:
        model(X).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert p.phases["optimizer"].other_flops > 0
    assert p.phases["optimizer"].macs == 0


def test_accumulated_gradients_are_added_in_their_own_module():
    model = net()
    with profiler.profile(model) as p:
        for _ in range(2):
            model(X).sum().backward()
    adds = {e.record.module for e in p.entries if e.record.packet == "aten.add_" and e.record.phase == "backward"}
    assert adds == {"0", "2"}


def test_double_backward_stays_with_its_module():
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Tanh())
    with profiler.profile(model) as p:
        (grad,) = torch.autograd.grad(model(X).sum(), model[0].weight, create_graph=True)
        grad.pow(2).sum().backward()
    assert {module for (phase, module) in macs(p) if phase == "backward"} == {"0"}


def test_a_graph_made_before_the_block_belongs_to_nobody():
    model = net()
    loss = model(X).sum()
    with profiler.profile(model) as p:
        loss.backward()
    assert {module for (_, module) in macs(p)} == {"(outside)"}


def test_functional_gradients_are_backward_work():
    model = nn.Linear(4, 4, bias=False)
    with profiler.profile(model) as p:
        torch.func.grad(lambda w: torch.func.functional_call(model, {"weight": w}, X).sum())(model.weight)
    assert p.phases["forward"].macs == p.phases["backward"].macs == 32


def test_gradients_that_checkpoints_return_are_added_in_backward():
    layer = nn.Linear(4, 4, bias=False)
    x = X.clone().requires_grad_()
    with profiler.profile(layer) as p:
        sum(checkpoint(layer, x, use_reentrant=True) for _ in range(3)).sum().backward()
    added = [entry.record for entry in p.entries if entry.record.operator.startswith("aten.add")]
    assert {record.phase for record in added} == {"forward", "backward"}
