"""Models that no machine here could hold, on meta: built, run once, priced and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from models import ready

import profiler

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

MODELS = ["hf:llama-7b", "hf:mixtral-8x7b", "hf:gpt3-175b", "hf:llama-3.1-405b"]


@pytest.mark.parametrize("name", MODELS)
def test_a_big_model(benchmark: BenchmarkFixture, name: str) -> None:
    """Count one pass over 2,048 tokens."""
    model, args, kwargs = ready(name, "meta", "input_ids=1x2048")

    def count() -> int:
        with torch.inference_mode():
            return profiler.count(model, *args, **kwargs).totals.macs

    assert benchmark.pedantic(count, rounds=3, warmup_rounds=1) > 0
