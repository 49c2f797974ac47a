"""The script that fits the time tables of the package, on times that are made from known factors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from profiler.devices import find_device
from profiler.projection.fit import Sample
from profiler.projection.ideal_times import Ideal
from profiler.projection.time_table import TimeTable
from profiler.projection.time_table_files import read_time_table
from profiler.projection.validation import Validation

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
VALIDATION = Validation("made up", "2026-01-01", {}, (1.0, 1.0), ("fp16",), 3, 0.1, 0.1, 1.0, 10.0)
TABLE = TimeTable("GPU", "eager", "inference", kernel_us=1e-3, launch_us=0.0, compute={"matmul": 0.5}, memory={})


@pytest.fixture
def factors(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("device_factors")


def passes(table: TimeTable, slower: float, count: int) -> list[Sample]:
    """Return passes that take *slower* times as long as a table says."""
    ideals = [{"matmul": Ideal(1e-3 * i, 2e-3, 10)} for i in range(1, count + 1)]
    return [
        Sample(one, slower * table.pass_seconds(one), f"model {i}", precision="fp16") for i, one in enumerate(ideals)
    ]


def fitted(factors, main: str, others: dict[str, float], count: int):
    """Return a table that was fitted to *main*, and on which the others take so many times as long."""
    ranged = replace(TABLE, validation=replace(VALIDATION, ranges={main: (0.9, 1.1)}))
    carried = {device: factors.carry(ranged, device, passes(TABLE, slower, count)) for device, slower in others.items()}
    return factors.Fitted(ranged, main, carried, carried)


def test_a_device_that_another_table_was_measured_on_has_the_product_of_the_factors(factors):
    pool = {
        ("GPU", "eager", "inference"): fitted(factors, "rtx-3090", {"rtx-4090": 0.8}, 3),
        ("GPU", "compiled", "inference"): fitted(factors, "rtx-4090", {"h100-sxm5-80gb": 1.5}, 3),
    }
    eager, compiled = factors.with_factors(pool, is_comparable=True).values()
    assert eager.factors["h100-sxm5-80gb"] == pytest.approx(0.8 * 1.5, rel=0.01)
    assert compiled.factors["rtx-3090"] == pytest.approx(1 / 0.8, rel=0.01)
    assert eager.factors["rtx-3090"] == compiled.factors["rtx-4090"] == 1
    assert eager.factors["consumer GPU"] == pytest.approx((1 + 0.8) / 2, rel=0.01)


def test_a_kind_that_was_not_measured_takes_the_median_of_all_cards(factors):
    pool = {("GPU", "deployed", "inference"): fitted(factors, "jetson-orin-nano-8gb", {"t4": 0.5, "rtx-4090": 0.7}, 3)}
    (table,) = factors.with_factors(pool, is_comparable=False).values()
    shares = {name: table.of_device(find_device(name), "fp16").compute["matmul"] for name in ("rtx-a6000", "l4")}
    assert shares["rtx-a6000"] == pytest.approx(0.5 / 0.6, rel=0.01)
    assert shares["l4"] == pytest.approx(0.5 / 0.5, rel=0.01)


def test_enough_passes_of_a_table_are_its_own_factor_and_range(factors):
    pool = {
        ("GPU", "eager", "inference"): fitted(factors, "rtx-3090", {"rtx-4090": 0.8}, factors.FEW),
        ("GPU", "compiled", "inference"): fitted(factors, "rtx-3090", {"rtx-4090": 0.6}, factors.FEW - 1),
    }
    eager, compiled = factors.with_factors(pool, is_comparable=True).values()
    assert eager.factors["rtx-4090"] == pytest.approx(0.8, rel=0.01)
    assert 0.6 < compiled.factors["rtx-4090"] < 0.8
    assert "rtx-4090" in eager.validation.ranges
    assert "rtx-4090" not in compiled.validation.ranges


def test_tables_that_are_not_comparable_have_a_range_each(factors):
    pool = {("GPU", "deployed", "inference"): fitted(factors, "rtx-3090", {"t4": 1.4, "l4": 1.0, "a10": 1.0}, 3)}
    (table,) = factors.with_factors(pool, is_comparable=False).values()
    low, high = table.validation.range_elsewhere
    # a device by the median of the others: a T4 takes 1.4 times as long as an L4 and an A10
    assert high == pytest.approx(1.4, rel=0.02)
    assert low == pytest.approx(1 / 1.2, rel=0.02)


def test_tables_are_written_of_groups_with_enough_passes(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    fits = import_module("fit_time_tables")
    groups = {
        ("GPU", "eager", "inference"): fits.Group(
            samples=defaultdict(list, {"rtx-3090": passes(TABLE, 1.0, 25)}),
            few=defaultdict(list, {"rtx-4090": passes(TABLE, 0.8, 3)}),
            sources=["made up"],
        ),
        ("GPU", "eager", "training"): fits.Group(few=defaultdict(list, {"rtx-4090": passes(TABLE, 0.8, 3)})),
    }
    fits.write_tables(groups, tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "gpu-eager-inference.json"
    table = read_time_table(path)
    assert table.compute["matmul"] == pytest.approx(0.5, rel=0.05)
    assert table.factors["rtx-4090"] == pytest.approx(0.8, rel=0.05)
    assert table.validation.passes == 28
    assert table.validation.source == "made up"
