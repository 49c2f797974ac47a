"""What the engine adds to a forward pass: beside it alone, and beside a dispatch mode that does nothing.

pytest benchmarks/test_engine.py
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
import torch
from models import ready
from overhead import bare, empty, ours, ours_with_result

import profiler

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

WAYS = {"bare": bare, "empty": empty, "profiled": ours, "profiled and read": ours_with_result}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_a_forward_pass(benchmark: BenchmarkFixture, name: str, way: str) -> None:
    """Time one pass; the ways of one model are a group."""
    model, args, kwargs = ready(name)
    benchmark.group = name
    with torch.no_grad():
        benchmark.pedantic(WAYS[way], (model, args, kwargs), rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("way", ["bare", "profiled"])
def test_a_training_step(benchmark: BenchmarkFixture, way: str) -> None:
    """Time forward and backward, whose work must be led back to its modules."""
    model, args, kwargs = ready("mobilenet_v3_small")

    def step() -> None:
        with profiler.profile(model) if way == "profiled" else nullcontext():
            model(*args, **kwargs).sum().backward()

    benchmark.group = "a training step of mobilenet_v3_small"
    benchmark.pedantic(step, rounds=10, warmup_rounds=2)
