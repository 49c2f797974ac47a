"""An optimizer that steps inside the backward pass is the optimizer phase, and no model FLOPs."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler

X = torch.ones(10, 8)


def after_accumulation(parameter, step) -> None:
    def hook(parameter) -> None:
        step(parameter)

    parameter.register_post_accumulate_grad_hook(hook)


def before_accumulation(parameter, step) -> None:
    def hook(grad):
        parameter.grad = grad
        step(parameter)
        return grad

    parameter.register_hook(hook)


def backward_profile(model, run=None):
    model.zero_grad()
    with profiler.profile(model) as p:
        (run or model)(X).sum().backward()
    return p


@pytest.mark.parametrize("attach", [after_accumulation, before_accumulation])
def test_a_step_in_a_gradient_hook_is_the_optimizer_phase(attach):
    model = nn.Linear(8, 4)
    plain = backward_profile(model)
    optimizers = {p: torch.optim.SGD([p], 0.1, foreach=False) for p in model.parameters()}
    for parameter in model.parameters():
        attach(parameter, lambda p: (optimizers[p].step(), optimizers[p].zero_grad()))
    p = backward_profile(model)
    assert p.phases["optimizer"].other_flops == 2 * 36  # w -= lr · g
    assert p.phases["backward"].flops == plain.phases["backward"].flops
    assert p.model_flops == plain.model_flops
    assert p.nodes["(outside)"].own.other_flops - plain.nodes["(outside)"].own.other_flops == 2 * 36


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_step_in_the_backward_of_a_checkpoint_is_neither_backward_nor_recompute(reentrant):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4))

    def run(x):
        return checkpoint(model, x.clone().requires_grad_(), use_reentrant=reentrant)

    plain = backward_profile(model, run)
    for parameter in model.parameters():
        optimizer = torch.optim.AdamW([parameter], 0.1)
        after_accumulation(parameter, lambda _, optimizer=optimizer: optimizer.step())
    p = backward_profile(model, run)
    assert p.phases["optimizer"].other_flops > 0
    for phase in ("forward", "backward", "recompute"):
        assert p.phases[phase].flops == plain.phases[phase].flops


def test_an_update_by_hand_in_a_hook_is_the_optimizer_phase():
    model = nn.Linear(8, 4)
    for parameter in model.parameters():
        after_accumulation(parameter, lambda p: p.data.add_(p.grad, alpha=-0.1))
    assert backward_profile(model).phases["optimizer"].other_flops == 2 * 36


def test_a_closure_that_runs_the_model_is_forward_and_backward():
    model = nn.Linear(8, 4)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=1)

    def closure():
        optimizer.zero_grad()
        loss = model(X).pow(2).sum()
        loss.backward()
        return loss

    with profiler.profile(model) as p:
        optimizer.step(closure)
    products = {phase: totals.macs for phase, totals in p.phases.items()}
    assert products["forward"] == products["backward"] == 10 * 8 * 4
    assert p.phases["optimizer"].other_flops > 0
