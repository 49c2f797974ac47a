"""Functions of torch that are called while calls are recorded are what they are otherwise."""

from __future__ import annotations

import inspect

import torch
from torch.nn import functional

from profiler.trace.function_calls import record_function_calls


def described() -> list[tuple[str, str | None, list[str]]]:
    functions = (functional.relu, functional.interpolate, functional.softmax)
    return [(f.__name__, f.__doc__, list(inspect.signature(f).parameters)) for f in functions]


def test_a_recorded_function_has_its_name_its_text_and_its_signature():
    before = described()
    with record_function_calls(lambda: "inner") as calls:
        inside = described()
        functional.relu(torch.ones(2, 3))
    assert inside == described() == before
    assert [(call.name, call.module, times) for call, times in calls.items()] == [
        ("torch.nn.functional.relu", "inner", 1)
    ]
