"""Launches of Triton kernels, told by stand-ins for the hooks of its versions: no GPU is needed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import profiler

X = torch.ones(2, 4)


class Chain:
    """As the hook of Triton 3.5."""

    def __init__(self) -> None:
        self.calls = []

    def add(self, function):
        self.calls.append(function)

    def remove(self, function):
        self.calls.remove(function)

    def __call__(self, metadata):
        for function in self.calls:
            function(metadata)


def launch(holder):
    if holder.launch_enter_hook is not None:
        holder.launch_enter_hook({"name": "kernel"})


@pytest.fixture(params=["chain", "knob", "class"])
def holder(request, monkeypatch):
    made = SimpleNamespace(launch_enter_hook=Chain() if request.param == "chain" else None)
    for name in ("triton.knobs", "triton.compiler"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    if request.param == "class":
        monkeypatch.setitem(sys.modules, "triton.compiler", SimpleNamespace(CompiledKernel=made))
    else:
        monkeypatch.setitem(sys.modules, "triton.knobs", SimpleNamespace(runtime=made))
    return made


class Launches(nn.Module):
    def __init__(self, holder, make) -> None:
        super().__init__()
        self.holder, self.make = [holder], make

    def forward(self, x):
        out = self.make(x)
        launch(self.holder[0])
        return out


@pytest.mark.parametrize(("make", "shapes"), [(torch.clone, ()), (torch.empty_like, ((2, 4),))])
def test_a_launch_in_a_module_is_unseen_work(holder, make, shapes):
    model = nn.Sequential(Launches(holder, make), nn.Linear(4, 4))
    p = profiler.count(model, X)
    assert [(row.operator, row.module, row.shapes, row.calls) for row in p.uncounted] == [
        ("unseen work", "0", shapes, 1)
    ]
    launch(holder)  # after the block nobody listens
    assert len(p.uncounted) == 1


HOLDER = []


LIBRARY = torch.library.Library("tests_triton", "DEF")
LIBRARY.define("launch(Tensor x) -> Tensor")


def operator(x):
    launch(HOLDER[0])
    return x.clone()


LIBRARY.impl("launch", operator, "CPU")


def test_a_launch_outside_of_the_model_or_inside_of_an_operator_is_none(holder):
    HOLDER[:] = [holder]

    class Operator(nn.Module):
        def forward(self, x):
            return torch.ops.tests_triton.launch(x)

    with profiler.profile(model := nn.Sequential(Operator())) as p:
        launch(holder)
        model(X)
    assert [row.operator for row in p.uncounted] == ["tests_triton.launch.default"]


def test_a_hook_of_the_user_is_called_too(holder):
    launches = []
    if isinstance(holder.launch_enter_hook, Chain):
        holder.launch_enter_hook.add(launches.append)
    else:
        holder.launch_enter_hook = launches.append
    profiler.count(nn.Sequential(Launches(holder, torch.clone)), X)
    assert launches == [{"name": "kernel"}]
