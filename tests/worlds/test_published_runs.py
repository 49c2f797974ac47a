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
#: Llama 3.1 8B, from its configuration: all parameters, without those of the table that is only looked up.
LLAMA_8B = {"params": 8_030_261_248 - 128_256 * 4096, "layers": 32, "heads": 32, "head_dim": 128}


def test_every_case_can_be_run_or_says_why_not():
    cases = DOCUMENT["cases"]
    assert len({case["id"] for case in cases}) == len(cases) == 46
    assert {case["source"] for case in cases} == DOCUMENT["sources"].keys()
    needed = {"model", "mesh", "sequence", "local_batch", "mode", "device", "published"}
    assert all(needed <= case.keys() for case in RUN)
    assert all(case.get("left_out", "runs") for case in cases)


@pytest.mark.parametrize("case", RUN, ids=lambda case: case["id"])
def test_no_published_rate_beats_the_peak_of_the_device(case):
    # half of the scores are masked
    flops = flops_per_token(**LLAMA_8B, length=case["sequence"] / 2)
    assert case["published"] < find_device(case["device"]).peak("bf16") / flops


@pytest.mark.slow
@pytest.mark.parametrize("case", RUN[:1], ids=lambda case: case["id"])
def test_the_bound_holds_and_the_estimate_is_near(case):
    row = runpy.run_path(str(BENCHMARKS / "distributed.py"))["compare"](case)
    assert row.bound >= row.published
    assert 0.5 < row.ratio < 2
