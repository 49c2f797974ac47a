"""How many calls of Python functions recording takes: a measure of its cost that does not depend on the machine."""

from __future__ import annotations

import gc
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import profiler
from profiler.util.whole_calls import WANTED


@pytest.fixture(autouse=True)
def no_formulas_of_classes(monkeypatch):
    """Forget the formulas of classes that other tests registered: with any, each call of a module is looked up."""
    for key in list(WANTED):
        monkeypatch.delitem(WANTED, key)


def python_calls(run) -> int:
    """Count the calls of Python functions, generators included, that *run* makes."""
    count = 0

    def on_event(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    gc.collect()
    gc.disable()  # what it collects may call functions too
    sys.setprofile(on_event)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


class Empty(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def adds(count):
    """Run an operator so often whose result is a new tensor."""
    x = torch.ones(4, 4)
    for _ in range(count):
        x = torch.add(x, 1)


def views(count):
    """Run an operator so often whose result is a view."""
    x = torch.ones(4, 4)
    for _ in range(count):
        x = x.t()


def identities(count):
    """Call so many modules."""
    for module in MODULES[:count]:
        module(1)


MODULES = nn.ModuleList(nn.Identity() for _ in range(60))


def calls_each(work) -> float:
    """Return the calls that one operator or module takes more, when there are more of them."""
    work(60)
    return (python_calls(lambda: work(60)) - python_calls(lambda: work(20))) / 40


def calls_above_an_empty_mode(work) -> float:
    """Return the calls that recording takes more than a mode that does nothing but run the operator."""
    with torch.no_grad():
        with Empty():
            empty = calls_each(work)
        with profiler.profile(MODULES):
            recorded = calls_each(work)
    return recorded - empty


def test_recording_an_operator_takes_no_more_calls_than_an_empty_mode():
    """Torch's function of the operator is called without the layers of Python around it, which makes up for ours."""
    assert calls_above_an_empty_mode(adds) <= -1


def test_recording_a_view_takes_fewer():
    assert calls_above_an_empty_mode(views) <= -5


def test_following_a_module_takes_seven_calls():
    assert calls_above_an_empty_mode(identities) <= 7


def test_beginning_and_ending_a_profile_takes_thirteen_calls_for_a_layer():
    """A linear layer: its place, its weight and bias, their marks, and their part in the inventory."""

    def calls(count):
        model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(count)))

        def nothing():
            with profiler.profile(model):
                pass

        nothing()
        return python_calls(nothing)

    assert (calls(60) - calls(20)) / 40 <= 13


def test_reading_a_distinct_call_takes_fifty_nine_calls():
    def calls(count):
        model = nn.Sequential(*(nn.Linear(8 + i, 9 + i) for i in range(count)))

        def profiled():
            with torch.no_grad(), profiler.profile(model) as p:
                model(torch.ones(1, 8))
            return p

        _ = profiled().totals
        p = profiled()
        return python_calls(lambda: p.totals)

    assert (calls(60) - calls(20)) / 40 <= 59


def test_reading_the_totals_takes_half_the_calls_of_the_whole_result():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(50)))
    x = torch.ones(4, 8)

    def profiled():
        with torch.no_grad(), profiler.profile(model) as p:
            model(x)
        return p

    _ = profiled().result.totals
    quick, whole = profiled(), profiled()
    assert python_calls(lambda: quick.totals) < python_calls(lambda: whole.result.totals) / 2
