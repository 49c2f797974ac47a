"""The memory of a steady training step: what the optimizer keeps is there from the step's beginning to its end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler


class Keeps(torch.optim.Optimizer):
    """An optimizer of one's own, that keeps the last gradient."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["last"] = parameter.grad.clone()
                parameter.sub_(parameter.grad)


OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw, one by one": lambda parameters: torch.optim.AdamW(parameters, foreach=False),
    "adamw, fused": lambda parameters: torch.optim.AdamW(parameters, fused=True),
    "adafactor": torch.optim.Adafactor,
    "rmsprop": torch.optim.RMSprop,
    "one's own": Keeps,
}
X = torch.randn(64, 32)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))


def step(model, optimizer):
    model(X).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def steps(model, optimizer, times):
    with profiler.profile(model) as p:
        for _ in range(times):
            step(model, optimizer)
    return p.result.memory


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_steady_step_has_the_peak_of_two(name):
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    step(model, optimizer)
    state = sum(
        tensor.nbytes for kept in optimizer.state.values() for tensor in kept.values() if torch.is_tensor(tensor)
    )
    one, two = steps(model, optimizer, 1), steps(model, optimizer, 2)
    assert one.peak.bytes == two.peak.bytes
    assert one.phases["forward"].bytes["optimizer_state"] >= state


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_counted_step_is_a_steady_one(name, device):
    if device == "meta" and name in {"adamw, fused", "adafactor"}:
        pytest.skip("torch cannot run it on meta")
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    step(model, optimizer)
    steady = profiler.count_step(model, X, optimizer=optimizer)
    fresh = net().to(device)
    first = OPTIMIZERS[name](fresh.parameters())
    counted = profiler.count_step(fresh, X.to(device), optimizer=first)
    assert counted.memory.peak.bytes == steady.memory.peak.bytes
    assert counted.totals.flops == steady.totals.flops
    assert not first.state
    assert all(parameter.grad is None for parameter in fresh.parameters())


def test_the_gradients_that_a_model_has_are_there_before_a_step_and_after():
    model = net()
    model(X).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters())
    profile = profiler.count_step(model, X, optimizer=optimizer)
    assert all(torch.equal(p.grad, grad) for p, grad in zip(model.parameters(), before, strict=True))
    assert profile.memory.phases["forward"].bytes["gradient"] == sum(grad.nbytes for grad in before)


def test_a_phase_without_allocations_has_the_level_at_its_start():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), foreach=False)
    memory = profiler.count_step(model, X, optimizer=optimizer).memory
    held = 2 * sum(parameter.nbytes for parameter in model.parameters()) + X.nbytes
    assert memory.phases["optimizer"].total >= held
