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


def by_two_operators(parameter):
    parameter.data.sub_(0.1 * parameter.grad)
    parameter.grad = None


def adam_by_hand(parameter, states={}):  # noqa: B006 - kept between the steps
    mean, square = states.setdefault(parameter, (torch.zeros_like(parameter), torch.zeros_like(parameter)))
    mean.mul_(0.9).add_(parameter.grad)
    square.mul_(0.9).addcmul_(parameter.grad, parameter.grad)
    parameter.data.addcdiv_(mean, square.sqrt().add_(1), value=-0.1)


# the FLOPs and transcendentals of one element
@pytest.mark.parametrize(
    ("update", "flops", "transcendentals"),
    [(by_two_operators, 1 + 1, 0), (adam_by_hand, (1 + 1) + (1 + 2) + 1 + 3, 1)],
)
@pytest.mark.parametrize("is_accumulated", [False, True])
def test_all_of_an_update_by_hand_after_the_gradient_is_accumulated_is_the_optimizer_phase(
    update, flops, transcendentals, is_accumulated
):
    model, plain = nn.Linear(8, 4), nn.Linear(8, 4)
    for parameter in model.parameters():
        after_accumulation(parameter, update)
        parameter.register_hook(lambda gradient: gradient * 2)  # this one is no update
    for parameter in plain.parameters():
        parameter.register_hook(lambda gradient: gradient * 2)
    for net in (model, plain):
        net.weight.grad = torch.ones(4, 8) if is_accumulated else None
    with profiler.profile(model) as p:
        model(X).sum().backward()
    with profiler.profile(plain) as without:
        plain(X).sum().backward()
    assert p.phases["optimizer"].other_flops == flops * 36
    assert p.phases["optimizer"].transcendentals == transcendentals * 36
    assert p.phases["backward"].other_flops == without.phases["backward"].other_flops
    assert p.phases["backward"].other_flops >= 2 * 36


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
