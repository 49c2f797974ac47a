"""Fits of time tables to times that a known table made."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from profiler.errors import InputError
from profiler.projection.fit import Sample, errors, fit, held_out_estimates, range_of, ratios
from profiler.projection.ideal_times import Ideal
from profiler.projection.operator_classes import MORE_GENERAL
from profiler.projection.time_table import TimeTable, share
from profiler.projection.time_table_files import format_time_table, packaged_tables, read_time_table

TRUE = TimeTable(
    "GPU", "eager", "inference", kernel_us=3.0, launch_us=0.0,
    compute={"matmul": 0.5, "conv": 0.8}, memory={"matmul": 0.6, "conv": 0.6, "pointwise": 0.7},
)  # fmt: skip
START = replace(TRUE, compute={"matmul": 0.6}, memory={"pointwise": 0.8, "matmul": 0.8})


def samples(count: int, table: TimeTable = TRUE, noise: float = 0.0) -> list[Sample]:
    chance = random.Random(3)  # noqa: S311 - the same samples in every run
    made = []
    for _ in range(count):
        ideals = {
            class_: Ideal(chance.uniform(0, 0.02) * (class_ != "pointwise"), chance.uniform(0, 0.02), 40)
            for class_ in ("matmul", "conv", "pointwise")
        }
        made.append(Sample(ideals, table.pass_seconds(ideals) * (1 + noise * chance.uniform(-1, 1))))
    return made


def test_the_shares_that_made_the_times_are_found():
    fitted = fit(samples(60), START, own=3.0)
    assert fitted.compute["conv"] == pytest.approx(0.8, rel=0.05)
    assert fitted.memory["pointwise"] == pytest.approx(0.7, rel=0.05)
    assert max(errors(samples(60), [fitted.pass_seconds(s.ideals) for s in samples(60)])) < 0.01


def test_five_passes_change_the_common_factor_alone():
    """A device that takes twice as long for everything but the launch of a kernel."""
    slow = replace(
        START,
        compute={name: value / 2 for name, value in START.compute.items()},
        memory={name: value / 2 for name, value in START.memory.items()},
    )
    fitted = fit(samples(5, slow), START)
    assert fitted.compute["matmul"] == pytest.approx(0.3, rel=0.02)
    assert max(errors(samples(40, slow), [fitted.pass_seconds(s.ideals) for s in samples(40, slow)])) < 0.02


EAGER = replace(packaged_tables()["GPU", "eager", "inference"], launch_us=0.0, factors={})


def test_noise_of_passes_that_wait_for_the_host_hardly_changes_the_rates_of_a_table_that_was_measured():
    """Three passes only wait for launches, of 2 ms each; two others take 1.6 times as long, as on a busy host."""
    known = replace(EAGER, launch_us=2_000.0)
    idle, busy = ({"conv": Ideal(seconds, seconds, 240)} for seconds in (1e-3, 0.05))
    noisy = [
        Sample(ideals, 0.48 * factor) for ideals, factor in ((idle, 1), (idle, 1), (idle, 1), (busy, 1.6), (busy, 1.6))
    ]
    assert fit(noisy, known, own=0.15).memory["pooling"] > 0.6 * known.memory["pooling"]


def test_a_device_may_reach_more_than_a_plausible_share_if_the_table_does():
    """A device that takes 0.7 of the table's time: no class is drawn back to a share of 1.1 of the peak."""
    known = replace(EAGER, kernel_us=0.0)
    names = [name for name, value in known.compute.items() if value > 1]
    assert len(names) > 3
    passes = [{name: Ideal(0.01 * n, 0.0, 9) for name in names} for n in range(1, 6)]
    fitted = fit([Sample(ideals, 0.7 * known.pass_seconds(ideals)) for ideals in passes], replace(known, kernel_us=0.1))
    assert fitted.compute[names[0]] == pytest.approx(known.compute[names[0]] / 0.7, rel=0.06)


def test_estimates_of_kept_back_passes_have_the_error_of_the_noise():
    noisy = samples(80, noise=0.1)
    held = errors(noisy, held_out_estimates(noisy, START, own=1.0))
    assert 0.02 < sum(held) / len(held) < 0.08


def test_the_passes_of_one_model_are_kept_back_together():
    """One model sorts, three times as slowly as the start says: only a fit that saw one of its passes knows that."""
    named = [replace(sample, name=f"model {i}, batch 1") for i, sample in enumerate(samples(30))]
    sorts = [{"sort": Ideal(0.0, 0.01 * n, 40)} for n in range(1, 7)]
    odd = [Sample(ideals, 3 * START.pass_seconds(ideals), f"odd, batch {i}") for i, ideals in enumerate(sorts)]

    def worst(group):
        estimates = held_out_estimates([*odd, *named], START, folds=3, own=1.0, group=group)
        return max(estimate / sample.seconds for estimate, sample in zip(estimates, odd, strict=False))

    assert worst(lambda sample: sample.model) < 0.5 < worst(lambda sample: sample.name)
    estimates = held_out_estimates([*odd, *named], START, folds=3, own=1.0)
    assert max(estimate / sample.seconds for estimate, sample in zip(estimates, odd, strict=False)) < 0.5


@pytest.mark.parametrize("count", [4, 6])
def test_passes_of_one_model_alone_are_kept_back_one_by_one(count):
    one = [replace(sample, name=f"net, batch {i}") for i, sample in enumerate(samples(count))]
    assert all(estimate > 0 for estimate in held_out_estimates(one, START, folds=3))


def test_a_class_that_no_pass_has_keeps_its_share():
    fitted = fit(samples(30), replace(START, memory=START.memory | {"sort": 0.1}))
    assert fitted.memory["sort"] == pytest.approx(0.1, rel=0.25)


def test_passes_that_wait_for_the_host_tell_how_long_a_launch_takes():
    """Launches of 120 kernels take 60 ms, which is more than most of these passes."""
    table = replace(TRUE, launch_us=500.0)
    fitted = fit(samples(20, table), replace(START, launch_us=200.0))
    assert fitted.launch_us == pytest.approx(500, rel=0.02)


def test_the_constant_of_a_pass_is_fitted_where_the_table_has_one():
    """The 120 kernels of each pass take 0.6 ms; 40 ms more are of no class."""
    fitted = fit(samples(40, replace(TRUE, pass_us=40_000.0)), replace(START, pass_us=10_000.0))
    assert fitted.pass_us == pytest.approx(40_000, rel=0.1)
    assert fit(samples(20), START).pass_us == 0


def test_the_range_leaves_five_percent_on_each_side():
    made = [0.1, *[0.9] * 9, *[1.2] * 9, 7.0]
    assert range_of(made) == (0.9, 1.2)
    assert range_of([0.9] * 4) == (0.9, 1.0), "the estimate itself is inside"


def test_ratios_are_measured_over_estimated():
    (sample,) = samples(1)
    assert ratios([sample], [sample.seconds / 2]) == [2.0]
    assert errors([sample], [sample.seconds / 2]) == [0.5]


def test_every_class_leads_to_one_that_has_a_share():
    for name in MORE_GENERAL:
        assert share({"matmul": 0.5, "pointwise": 0.5}, name) == 0.5


@pytest.mark.parametrize("key", packaged_tables(), ids="-".join)
def test_the_tables_of_the_package_are_plausible_and_say_what_they_rest_on(key):
    table = packaged_tables()[key]
    validation = table.validation
    assert (table.kind, table.mode, table.step) == key
    assert all(0.005 < value < 1.3 for name, value in table.compute.items() if name != "attention")
    assert all(0.01 < value < 2.6 for value in table.memory.values())
    assert validation.passes >= 16
    is_npu = table.kind == "NPU"
    assert 0 < validation.median_error <= validation.mean_error < (0.4 if is_npu else 0.3)
    for low, high in (*validation.ranges.values(), validation.range_elsewhere, validation.launch_range):
        assert (0.1 if is_npu else 0.3) < low <= 1 <= high < (6 if is_npu else 3.5)
    assert set(table.compute) | set(table.memory) <= set(MORE_GENERAL)


def test_a_table_is_written_and_read(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(format_time_table(TRUE), encoding="utf-8")
    assert read_time_table(path) == TRUE


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "GPU"}', "nonsense"])
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "table.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_time_table(path)
    assert "\n" not in str(caught.value)
