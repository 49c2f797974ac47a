"""Calls of modules are followed without torch's global hooks, and with them where a hook can come between."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules import module as module_hooks

import profiler

X = torch.ones(2, 4)


def calls(profile):
    return {module.path: module.calls for module in profile.modules if module.calls}


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = nn.Module._call_impl
    yield
    assert nn.Module._call_impl is before
    assert not module_hooks._global_forward_hooks
    assert not module_hooks._global_forward_pre_hooks


def test_a_model_without_hooks_is_followed_without_any():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with profiler.profile(model) as p:
        assert not module_hooks._global_forward_hooks
        assert not module_hooks._global_forward_pre_hooks
        model(X)
        assert not module_hooks._global_forward_hooks
    assert calls(p) == {"": 1, "0": 1, "1": 1}


@pytest.mark.parametrize("place", ["", "0", "1.0"])
def test_a_hook_on_any_module_loses_no_call(place):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    seen = []
    model.get_submodule(place).register_forward_hook(lambda *_: seen.append(X @ X.T))
    with profiler.profile(model) as p:
        model(X)
        model(X)
    assert len(seen) == 2
    assert calls(p) == dict.fromkeys(["", "0", "1", "1.0", "1.1"], 2)
    own = {path: node.own.macs for path, node in p.nodes.items() if node.own.macs}
    caller = {"": "(outside)", "0": "", "1.0": "1"}[place]
    assert own == {"0": 64, "1.0": 64, caller: 2 * 2 * 2 * 4}


def test_a_hook_that_is_registered_while_a_module_runs_is_seen():
    class Registers(nn.Linear):
        def forward(self, x):
            model[1].register_forward_pre_hook(lambda *_: (X @ X.T, None)[1])
            return super().forward(x)

    model = nn.Sequential(Registers(4, 4), nn.Linear(4, 4))
    with profiler.profile(model) as p:
        model(X)
    assert calls(p) == {"": 1, "0": 1, "1": 1}
    assert p.nodes["1"].own.macs == 32 + 2 * 2 * 4


def test_two_profiles_follow_the_same_calls():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with profiler.profile(model) as outer:
        model(X)
        with profiler.profile(model[1]) as inner:
            model(X)
        model(X)
    assert calls(outer) == dict.fromkeys(["", "0", "1"], 3)
    assert calls(inner) == {"": 1}
    assert inner.totals.macs == 32 + 32  # the first layer runs outside of the model


def test_a_call_that_raises_has_ended():
    class Fails(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    model = nn.Sequential(nn.Linear(4, 4), Fails())
    with profiler.profile(model) as p:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                model(X)
        torch.mm(X, X.T)
    assert calls(p) == dict.fromkeys(["", "0", "1"], 2)
    assert p.nodes["(outside)"].own.macs == 2 * 2 * 4


def test_a_function_that_replaced_the_call_inside_the_block_stays():
    ours = nn.Module._call_impl
    model = nn.Linear(4, 4)
    try:
        with profiler.profile(model):
            model(X)
            inside = nn.Module._call_impl

            def replaced(module, *args, **kwargs):
                return inside(module, *args, **kwargs)

            nn.Module._call_impl = replaced
            model(X)
        assert nn.Module._call_impl is replaced
        assert model(X).shape == (2, 4)
    finally:
        nn.Module._call_impl = ours


@pytest.mark.parametrize(
    ("register", "own"),
    [
        (module_hooks.register_module_forward_pre_hook, {"0": 32 + 16}),
        (module_hooks.register_module_forward_hook, {"0": 32, "": 16}),
    ],
)
def test_a_global_pre_hook_works_for_the_module_and_a_global_hook_for_its_caller(register, own):
    """Hooks that were there before the block run between the profile's and the module."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    handle = register(lambda module, *_: (module is model[0] and X @ X.T, None)[1])
    try:
        with profiler.profile(model) as p:
            model(X)
    finally:
        handle.remove()
    assert {path: node.own.macs for path, node in p.nodes.items() if node.own.macs} == own
