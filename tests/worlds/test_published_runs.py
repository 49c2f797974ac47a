"""Published training runs: what the file of them has, and that no bound of ours is beaten."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import pytest

from profiler.devices import find_device
from profiler.projection.training_plan import flops_per_token

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCUMENT = tomllib.loads((BENCHMARKS / "published_runs.toml").read_text(encoding="utf-8"))
RUN = [case for case in DOCUMENT["cases"] if "left_out" not in case]
DISTRIBUTED = runpy.run_path(str(BENCHMARKS / "distributed.py"))
#: Llama 3.1, from its configurations: hidden size, that of keys and values, and of the MLP; layers.
LLAMA = {"8b": (4096, 1024, 14336, 32), "70b": (8192, 1024, 28672, 80), "405b": (16384, 1024, 53248, 126)}


def products_of_a_token(case):
    """Return the weights that a token is multiplied with, the layers and the hidden size."""
    if "gpt" in case:
        layers, hidden = case["gpt"]["layers"], case["gpt"]["hidden"]
        return 12 * layers * hidden**2 + case["gpt"]["vocab"] * hidden, layers, hidden
    hidden, cached, inner, layers = LLAMA[case["model"].rpartition("-")[2]]
    return layers * (2 * hidden**2 + 2 * hidden * cached + 3 * hidden * inner) + 128_256 * hidden, layers, hidden


def test_every_case_can_be_run_or_says_why_not():
    cases = DOCUMENT["cases"]
    assert len({case["id"] for case in cases}) == len(cases) == 46
    assert {case["source"] for case in cases} == DOCUMENT["sources"].keys()
    needed = {"mesh", "sequence", "local_batch", "mode", "device", "published"}
    assert all(needed <= case.keys() and ("model" in case) != ("gpt" in case) for case in RUN)
    assert all(case.get("left_out", "runs") for case in cases)


@pytest.mark.parametrize("case", RUN, ids=lambda case: case["id"])
def test_no_published_rate_beats_the_peak_of_the_device(case):
    # half of the scores are masked
    params, layers, hidden = products_of_a_token(case)
    flops = flops_per_token(params, layers=layers, heads=1, head_dim=hidden, length=case["sequence"] / 2)
    peak = find_device(case["device"]).peak("fp8" if case.get("float8") else "bf16")
    assert DISTRIBUTED["tokens_per_s"](case) < peak / flops


def test_published_operations_become_the_tokens_that_the_source_has():
    # Megatron's 1.7 B: 512 sequences of 2,048 tokens on 32 devices at 137 TFLOP/s each; 8 FLOP a parameter and token
    case = next(case for case in RUN if case["id"] == "megatron21-1.7B")
    assert DISTRIBUTED["tokens_per_s"](case) == pytest.approx(137e12 / (8 * 1.7e9), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("case", RUN[:1], ids=lambda case: case["id"])
def test_the_bound_holds_and_the_range_has_what_was_published(case):
    row = DISTRIBUTED["compare"](case)
    assert row.bound >= row.published
    assert row.is_in_range
    assert 0.8 < row.ratio < 1.25
