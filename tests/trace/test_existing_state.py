"""What exists when a block begins is in its memory from there on: optimizer states, gradients, activations."""

from __future__ import annotations

import pytest
import torch
from allocations import peaks
from torch import nn

import profiler

F4 = 4  # bytes of a float32


class Attributes(torch.optim.Optimizer):
    """Keeps int8 moments in an attribute of its own, and not in ``state``, as some 8-bit optimizers do."""

    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.moments = {}

    @torch.no_grad()
    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            if p not in self.moments:
                self.moments[p] = [torch.zeros_like(p, dtype=torch.int8), torch.zeros_like(p, dtype=torch.int8)]
            self.moments[p][0].add_(1)
            p.sub_(p.grad, alpha=1e-3)


OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw foreach": lambda p: torch.optim.AdamW(p, foreach=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, amsgrad=True),
    "adafactor": torch.optim.Adafactor,
    "rmsprop": torch.optim.RMSprop,
    "attributes": Attributes,
}
#: Torch's implementations refuse tensors on ``meta``.
NEED_VALUES = {"adamw fused", "adafactor"}


def build(make, device="cpu"):
    model = net(device)
    return model, make(list(model.parameters())), torch.ones(256, 64, device=device)


def net(device):
    with torch.device(device):
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))


def step(model, optimizer, x, passes=1):
    optimizer.zero_grad()
    for _ in range(passes):
        model(x).sum().backward()
    optimizer.step()


def state_bytes(optimizer):
    tensors = [t for s in optimizer.state.values() for t in s.values() if isinstance(t, torch.Tensor)]
    return sum(t.untyped_storage().nbytes() for t in tensors)


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_later_step_has_the_peak_that_the_allocator_saw_in_all_of_training(name, passes):
    """The allocator sees the model, the input and three steps from the beginning; the profile only the last step."""

    def train():
        built = build(OPTIMIZERS[name])
        for _ in range(3):
            step(*built, passes)

    train()
    _, peak = peaks(train, {"aten::linear", "aten::mm", "aten::addmm"})
    built = build(OPTIMIZERS[name])
    for _ in range(2):
        step(*built, passes)
    with profiler.profile(built[0]) as p:
        step(*built, passes)
    assert p.memory.peak.total == pytest.approx(peak, abs=512)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_step_and_two_steps_have_the_same_peak_in_each_phase(name):
    model, optimizer, x = build(OPTIMIZERS[name])
    step(model, optimizer, x)
    with profiler.profile(model) as one:
        step(model, optimizer, x)
    with profiler.profile(model) as two:
        step(model, optimizer, x)
        step(model, optimizer, x)
    for phase in ("backward", "optimizer"):
        assert one.phases[phase].peak_memory == two.phases[phase].peak_memory
    assert one.phases["forward"].peak_memory["optimizer_state"] >= state_bytes(optimizer)


def test_the_states_of_lbfgs_exist_while_its_closure_runs():
    model, optimizer, x = build(lambda p: torch.optim.LBFGS(p, max_iter=3, history_size=2))

    def closure():
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    held = {
        t.untyped_storage()._cdata: t.untyped_storage().nbytes()
        for s in optimizer.state.values()
        for value in s.values()
        for t in (value if isinstance(value, list) else [value])
        if isinstance(t, torch.Tensor)
    }
    with profiler.profile(model) as p:
        optimizer.step(closure)
    assert p.phases["forward"].peak_memory["optimizer_state"] >= sum(held.values()) * 0.9


def test_gradients_that_are_accumulated_exist_in_the_next_forward():
    model, _, x = build(torch.optim.SGD)
    model(x).sum().backward()
    with profiler.profile(model) as p:
        model(x)
    assert p.phases["forward"].peak_memory["gradient"] == sum(F4 * q.numel() for q in model.parameters())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_backward_pass_alone_holds_all_that_its_forward_saved(device):
    """Ten layers of 256 · 64: the ten saved results of 65,536 bytes live when the last layer's backward begins."""
    with torch.device(device):
        model = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Sigmoid()) for _ in range(10)])
        loss = model(torch.ones(256, 64)).sum()
    with profiler.profile(model) as p:
        loss.backward()
    parameters = sum(F4 * q.numel() for q in model.parameters())
    assert p.phases["backward"].peak_memory["total"] >= parameters + F4 * 256 * 64 * 10


def test_forward_and_backward_in_two_blocks_have_the_peak_of_one_block():
    results = []
    for blocks in (1, 2):
        model, optimizer, x = build(torch.optim.Adam)
        step(model, optimizer, x)
        optimizer.zero_grad()
        p = profiler.profile(model)
        with p:
            loss = model(x).sum()
            if blocks == 1:
                loss.backward()
        if blocks == 2:
            with p:
                loss.backward()
        results.append(p.phases["backward"].peak_memory["total"])
    assert results[0] == results[1]


def test_a_phase_that_allocates_nothing_has_the_level_at_its_start():
    model, optimizer, x = build(lambda p: torch.optim.SGD(p, foreach=False))
    with profiler.profile(model) as p:
        model(x).sum().backward()
        optimizer.step()
    parameters = sum(F4 * q.numel() for q in model.parameters())
    at_least = 2 * parameters + F4 * x.numel()
    assert at_least <= p.phases["optimizer"].peak_memory["total"] <= at_least + 64


def test_states_are_found_too_when_events_were_summed_before(monkeypatch):
    monkeypatch.setattr("profiler.trace.storage_tracker._MAX_EVENTS_AT_CALL", 0)
    model, optimizer, x = build(torch.optim.Adam)
    step(model, optimizer, x)
    peaks_of = []
    for _ in range(2):
        with profiler.profile(model) as p:
            step(model, optimizer, x, passes=2)
        peaks_of.append(p.memory.peak.bytes)
        monkeypatch.undo()
    assert peaks_of[0] == peaks_of[1]
    assert peaks_of[0]["optimizer_state"] == state_bytes(optimizer)


@pytest.mark.parametrize(
    ("name", "device"),
    [(name, "cpu") for name in OPTIMIZERS] + [(name, "meta") for name in OPTIMIZERS if name not in NEED_VALUES],
)
def test_a_counted_step_is_the_steady_one(name, device):
    fresh, steady = build(OPTIMIZERS[name], device), build(OPTIMIZERS[name], device)
    for _ in range(2):
        step(*steady)
    steady[1].zero_grad()
    counted = [profiler.count_step(model, x, optimizer=optimizer) for model, optimizer, x in (fresh, steady)]
    assert counted[0].totals == counted[1].totals
    phases = [{phase: totals.peak_memory for phase, totals in p.phases.items()} for p in counted]
    assert phases[0] == phases[1]
    assert not fresh[1].state
    assert not getattr(fresh[1], "moments", None)
