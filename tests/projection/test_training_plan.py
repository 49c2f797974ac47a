"""Days, devices and utilisation; and the FLOPs of a live step, against 6·N·T and 8·N·T."""

from __future__ import annotations

import math

import pytest
import torch
from projection.test_project import TOY, device_pass_of
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler
from profiler.errors import PlanError
from profiler.projection import project
from profiler.projection.training_plan import (
    TrainingPlan,
    count_tokens,
    days,
    devices_for,
    flops_utilisation,
    pf_days,
    step_flops,
    training_figures,
)
from profiler.worlds.world_time import WorldTime


def step(*, recompute: bool) -> profiler.Profile:
    """Profile a training step of two linear layers of width 64 on 32 rows, with a gradient of the input."""
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    x = torch.randn(32, 64, requires_grad=True)
    with profiler.profile(model) as p:
        out = checkpoint(model, x, use_reentrant=False) if recompute else model(x)
        out.sum().backward()
    return p.result


def test_a_linear_models_step_is_six_n_t():
    figures = step_flops(step(recompute=False), tokens=32)
    assert figures.six_n_t == 6 * 2 * 64 * 64 * 32
    assert figures.model_flops == pytest.approx(figures.six_n_t, rel=0.01), "what is left is the sum and its gradient"
    assert figures.hardware_flops == figures.model_flops


def test_checkpointing_adds_a_forward_to_the_hardwares_flops_alone():
    plain, recomputed = step_flops(step(recompute=False), 32), step_flops(step(recompute=True), 32)
    assert recomputed.model_flops == plain.model_flops
    assert recomputed.hardware_flops == pytest.approx(recomputed.eight_n_t, rel=0.3)
    assert recomputed.hardware_flops > recomputed.model_flops


def test_days_devices_and_pf_days():
    """1e15 × 86400 is a PF-day; at half of 1e12 one device takes 2000 days, and 100 of them 20."""
    assert pf_days(8.64e19) == 1
    assert days(8.64e19, devices=100, peak_ops_per_s=1e12, utilisation=0.5) == pytest.approx(20)
    assert devices_for(8.64e19, 20, peak_ops_per_s=1e12, utilisation=0.5) == 100
    assert devices_for(8.64e19, 19.99, peak_ops_per_s=1e12, utilisation=0.5) == 101
    assert devices_for(1, 1, peak_ops_per_s=1e12, utilisation=0.5) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: flops_utilisation(1, 0, devices=1, peak_ops_per_s=1),
        lambda: flops_utilisation(1, 1, devices=-1, peak_ops_per_s=1),
        lambda: days(1, devices=1, peak_ops_per_s=0, utilisation=0.5),
        lambda: days(1, devices=1, peak_ops_per_s=1, utilisation=2),
        lambda: devices_for(1, -3, peak_ops_per_s=1, utilisation=0.5),
        lambda: days(1, devices=1, peak_ops_per_s=float("nan"), utilisation=0.5),
    ],
)
def test_a_number_that_is_none_is_an_error(call):
    with pytest.raises(PlanError):
        call()


def test_a_planned_run_is_the_steps_work_for_each_token():
    """2 layers of 64² on 32 rows: the step's own FLOPs for 32 tokens, and 1e12 tokens of them."""
    profile = step(recompute=False)
    flops = profile.model_flops / 32 * 1e12
    plan = TrainingPlan(1e12, devices=4, deadline_days=10)
    step_pass = device_pass_of(profile, TOY)
    figures = training_figures(step_pass, 0.5, plan)
    assert figures.tokens_per_step.value == 32
    assert figures.mfu.value == pytest.approx(profile.model_flops / step_pass.estimate.seconds / 1e12)
    assert figures.pf_days.value == pytest.approx(flops / 8.64e19)
    assert figures.days.value == pytest.approx(flops / (4 * 0.5e12) / 86400)
    assert figures.devices_for_deadline.value == math.ceil(flops / 0.5e12 / 864000)


def test_a_planned_run_sustains_what_the_estimated_step_does():
    profile = step(recompute=False)
    figures = training_figures(device_pass_of(profile, TOY), None, TrainingPlan(32e6))
    seconds = float(project(profile, TOY).estimate_s.value)
    assert figures.days.value == pytest.approx(1e6 * seconds / 86400)


@pytest.mark.parametrize(
    ("inputs", "tokens"),
    [
        ((torch.zeros(4, 7, dtype=torch.int64),), 28),
        ((torch.zeros(4, 7),), 4),
        ((torch.zeros(()), torch.zeros(3, 7)), 3),
        ((), 1),
    ],
    ids=["integers", "samples", "the first with a size", "none"],
)
def test_tokens_are_integers_or_else_samples(inputs, tokens):
    class Takes(nn.Module):
        def forward(self, *_):
            return torch.ones(1) + 1

    assert count_tokens(profiler.count(Takes(), *inputs)) == tokens


def test_no_run_is_planned_from_an_empty_batch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8, 8))

        def forward(self, x):
            return (self.weight @ self.weight).sum() + x.sum()

    profile = profiler.count_step(Net(), torch.zeros(0, 8))
    assert f"{profile.model_flops:,}  of an empty batch" in str(profile)
    with pytest.raises(PlanError, match="the batch is empty"):
        project(profile, TOY, training=TrainingPlan(1e9))
    time = WorldTime("toy", 2, project(profile, TOY), 0, profile.model_flops, 1e12)
    with pytest.raises(PlanError, match="the batch is empty"):
        time.days(1e9)
