"""A profile against its limits."""

from __future__ import annotations

import pytest
import torch
from guard.nets import SQUARE, WIDTH, block, counted, linear, named
from torch import nn

import profiler
from profiler.errors import BaselineError
from profiler.guard import check, compact, parse_limits

MODEL = {"a": block, "fc": linear}


def held(limits, model=None, baseline=None, rows=1):
    profile = counted(model if model is not None else named(a=block(), fc=linear()), rows)
    return check("net", profile, parse_limits(limits), baseline)


def test_a_budget_that_is_just_met_passes():
    assert held({"macs": 3 * SQUARE}).passed


def test_a_budget_that_is_missed_by_one_mac_fails():
    (macs, uncounted) = held({"macs": 3 * SQUARE - 1}).checks
    assert (macs.passed, macs.excess, macs.baseline) == (False, 1, None)
    assert uncounted.passed


def test_one_more_mac_is_found_in_its_module_and_operator():
    """A linear layer of one input and one output, applied to one row, is one MAC."""

    class Net(nn.Module):
        def __init__(self, *, more):
            super().__init__()
            self.body, self.tail = block(), nn.Linear(1, 1, bias=False, device="meta") if more else nn.Identity()

        def forward(self, x):
            return self.body(x), self.tail(x[:, :1])

    before, after = counted(Net(more=False)), counted(Net(more=True))
    outcome = check("net", after, parse_limits({"macs": "+0 %"}), compact(before))
    (macs, _) = outcome.checks
    assert not outcome.passed
    assert macs.excess == 1
    assert [(c.place.module, c.place.operator, c.change) for c in macs.where] == [("tail", "aten.mm", 1)]


def test_without_a_baseline_a_broken_limit_says_where_the_figure_is():
    (macs, _) = held({"macs": 1}).checks
    assert [(c.place.module, c.after) for c in macs.where] == [("a.down", 64), ("a.up", 64), ("fc", 64)]


def test_a_broken_limit_whose_figure_did_not_change_says_where_it_is():
    (macs, _) = held({"macs": 1}, baseline=counted(named(a=block(), fc=linear()))).checks
    assert macs.baseline == macs.value
    assert [(c.place.module, c.after) for c in macs.where] == [("a.down", 64), ("a.up", 64), ("fc", 64)]


def test_a_limit_on_a_part_is_explained_within_it():
    before = counted(named(a=block(), fc=linear()))
    wide = named(a=named(up=linear(), act=nn.ReLU(), down=linear(16)), fc=nn.Linear(16, 8, device="meta"))
    (macs, _) = check("net", counted(wide), parse_limits({"modules": {"a": {"macs": "+0 %"}}}), before).checks
    assert macs.excess == SQUARE
    assert [c.place.module for c in macs.where] == ["a.down"]


def test_the_work_of_a_moved_module_did_not_grow():
    before = counted(named(a=block(), fc=linear(2)))
    (macs, _) = held({"macs": "+0 %"}, named(b=block(), fc=linear(3)), before).checks
    assert [(c.place.module, c.change) for c in macs.where] == [("fc", WIDTH)]


def test_parameters_that_grew_are_found_in_their_module():
    before = counted(named(a=block(), fc=linear(2)))
    (params, _) = held({"params": "+0 %"}, named(a=block(), fc=linear(3)), before).checks
    assert [(c.place.module, c.place.operator, c.change) for c in params.where] == [("fc", "params", WIDTH + 1)]


def test_a_figure_below_a_two_sided_limit_fails():
    before = counted(named(a=block(), fc=linear()))
    (macs, _) = held({"macs": "±0 %"}, named(a=block()), before).checks
    assert (macs.passed, macs.excess) == (False, -SQUARE)
    assert [(c.place.module, c.kind, c.change) for c in macs.where] == [("fc", "removed", -SQUARE)]


def test_a_relative_limit_needs_a_baseline():
    with pytest.raises(BaselineError, match=r"^'net' has no baseline for `macs = '\+0 %'`; run with --update"):
        held({"macs": "+0 %"})


def test_a_relative_limit_needs_a_baseline_of_the_same_inputs():
    before = counted(named(a=block(), fc=linear()))
    with pytest.raises(BaselineError, match=r"^the baseline of 'net' is of other inputs"):
        held({"macs": "+0 %"}, rows=2, baseline=before)
    assert held({"macs": 10**9}, rows=2, baseline=before).checks[0].baseline is None


def test_an_uncounted_operator_fails_a_budget_that_does_not_allow_it():
    class Net(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x)

    profile = profiler.count(Net(), torch.ones(4, 4))
    assert profile.uncounted
    (macs, uncounted) = check("net", profile, parse_limits({"macs": 1000})).checks
    assert macs.passed
    assert (uncounted.passed, uncounted.value) == (False, sum(row.calls for row in profile.uncounted))
    assert check("net", profile, parse_limits({"macs": 1000, "uncounted": 9})).passed
