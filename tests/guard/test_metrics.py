"""A figure is the sum of where it is, for the whole and for every part."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import BudgetError, ProfilerError, UnknownNameError
from profiler.guard.metrics import HELD, WORK, Metric, amounts, value_of


@pytest.fixture(scope="module")
def p() -> profiler.Profile:
    # two blocks of Linear(4, 4): 16 MAC a row; a head of 4·3
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)))
    model = nn.Sequential()
    model.add_module("blocks", blocks)
    model.add_module("head", nn.Linear(4, 3))
    with profiler.profile(model) as found:
        model(torch.ones(5, 4)).sum().backward()
    return found.result


@pytest.mark.parametrize("name", [*WORK, *HELD])
def test_a_figure_of_the_whole_is_the_total(p, name):
    assert value_of(p, Metric(name)) == getattr(p.totals, name)


def test_peak_memory_is_the_sum_of_its_categories(p):
    assert value_of(p, Metric("peak_memory")) == p.totals.peak_memory["total"]
    assert value_of(p, Metric("peak_memory", "phases", "backward")) == p.phases["backward"].peak_memory["total"]
    found = amounts(p, Metric("peak_memory"))
    assert {place.operator for place in found} >= {"parameter", "input"}
    assert "total" not in {place.operator for place in found}


def test_a_profile_without_peak_memory_says_so_in_one_line(p):
    with pytest.raises(BudgetError, match=r"^the profile of Sequential has no peak memory; count it again, or leave"):
        value_of(replace(p, memory=None), Metric("peak_memory"))


@pytest.mark.parametrize("name", WORK)
def test_a_figure_of_a_phase_is_that_phases(p, name):
    assert value_of(p, Metric(name, "phases", "backward")) == getattr(p.phases["backward"], name)


@pytest.mark.parametrize("path", ["blocks", "blocks.1", "blocks.1.0", "head"])
@pytest.mark.parametrize("name", [*WORK, *HELD])
def test_a_figure_of_a_module_is_that_of_all_in_it(p, path, name):
    assert value_of(p, Metric(name, "modules", path)) == getattr(p.nodes[path].total, name)


def test_work_in_two_modules_that_match_counts_once(p):
    assert value_of(p, Metric("macs", "modules", "blocks*")) == p.nodes["blocks"].total.macs
    assert value_of(p, Metric("params", "modules", "*")) == p.totals.params == 2 * (16 + 4) + 12 + 3


def test_a_pattern_joins_sisters(p):
    # each linear layer: one row of 4 products for each of 4 outputs, 5 rows, forward and for the weight's gradient;
    # the gradient of the input too, but for the first
    linear = 5 * 4 * 4
    assert value_of(p, Metric("macs", "modules", "blocks.?.0")) == 5 * linear


def test_a_figure_of_an_operator_is_that_over_its_dtypes(p):
    assert value_of(p, Metric("macs", "operators", "aten.addmm")) == 2 * 80 + 60
    assert value_of(p, Metric("calls", "operators", "aten.addmm")) == 3
    assert value_of(p, Metric("calls", "operators", "aten.addmm.default")) == 3


def test_an_operator_that_did_not_run_has_nothing(p):
    assert value_of(p, Metric("calls", "operators", "aten.bmm")) == 0


def test_an_amount_names_its_module_and_operator(p):
    found = amounts(p, Metric("macs", "phases", "forward"))
    assert {(place.module, place.operator): n for place, n in found.items()} == {
        ("blocks.0.0", "aten.addmm"): 80,
        ("blocks.1.0", "aten.addmm"): 80,
        ("head", "aten.addmm"): 60,
    }


def test_a_projected_figure_is_the_demand_over_the_usual_utilisation(p):
    # 30 passes a second at 30 % of the peak: 100 times the operations
    metric = Metric("tops_at_30fps_on", "devices", "a100-sxm4-80gb")
    assert value_of(p, metric) == 100 * p.totals.flops
    assert amounts(p, metric) == {place: 100 * flops for place, flops in amounts(p, Metric("flops")).items()}


def test_a_device_that_is_not_known_is_an_error(p):
    with pytest.raises(ProfilerError, match="a1000"):
        value_of(p, Metric("tops_at_30fps_on", "devices", "a1000-nano-x"))


def test_a_module_that_is_not_there_is_an_error_with_the_nearest_name(p):
    with pytest.raises(UnknownNameError, match=r"^no module named 'haed'; did you mean 'head'\?$"):
        value_of(p, Metric("macs", "modules", "haed"))


def test_a_pattern_that_matches_nothing_is_an_error(p):
    with pytest.raises(
        BudgetError, match=r"^no module of Sequential matches 'layer\*'; its first are 'blocks', 'head'$"
    ):
        value_of(p, Metric("macs", "modules", "layer*"))
