"""What a limit allows, to the unit."""

from __future__ import annotations

import pytest

from profiler.errors import BudgetError, UnknownNameError
from profiler.guard.limits import Limit, parse_limits
from profiler.guard.metrics import Metric

MACS = Metric("macs")


@pytest.mark.parametrize(
    ("written", "baseline", "least", "most"),
    [
        (100, 7, 0, 100),
        ("+0 %", 10**18 + 1, 0, 10**18 + 1),  # beyond a float's digits
        ("+0%", 5, 0, 5),
        ("+1 %", 250, 0, 252),  # 252.5, rounded down
        ("+0.1 %", 3000, 0, 3003),
        ("-10 %", 95, 0, 85),
        ("−10 %", 95, 0, 85),  # with a minus sign
        ("±0 %", 41, 41, 41),
        ("±10 %", 95, 86, 104),  # 85.5 and 104.5
    ],
)
def test_a_limit_is_exact(written, baseline, least, most):
    limit = Limit(MACS, written)
    assert (limit.least(baseline), limit.most(baseline)) == (least, most)


def test_a_table_has_figures_and_parts():
    found = parse_limits({
        "macs": 5,
        "uncounted": 2,
        "phases": {"backward": {"flops": 6}},
        "operators": {"aten.bmm": {"calls": 0}},
        "modules": {"layer1.*": {"params": "+0 %"}},
    })  # fmt: skip
    assert [(limit.metric, limit.written) for limit in found] == [
        (MACS, 5),
        (Metric("uncounted"), 2),
        (Metric("flops", "phases", "backward"), 6),
        (Metric("calls", "operators", "aten.bmm"), 0),
        (Metric("params", "modules", "layer1.*"), "+0 %"),
    ]


def test_keys_that_toml_split_at_their_dots_are_one_pattern():
    (found, _) = parse_limits({"modules": {"layer1": {"0": {"conv1": {"macs": 5}}}}})
    assert found.metric == Metric("macs", "modules", "layer1.0.conv1")


def test_tops_are_held_in_operations_a_second():
    (found, _) = parse_limits({"tops_at_30fps_on": {"jetson-orin-nx": 5.5}})
    assert found == Limit(Metric("tops_at_30fps_on", "devices", "jetson-orin-nx"), 5_500_000_000_000)
    (found, _) = parse_limits({"tops_at_29.97fps_on": {"a100": "+0 %"}})
    assert found == Limit(Metric("tops_at_29.97fps_on", "devices", "a100"), "+0 %")


def test_a_table_silent_of_uncounted_allows_none():
    assert parse_limits({"macs": 5})[-1] == Limit(Metric("uncounted"), 0)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"mac": 5}, UnknownNameError, "no option or figure named 'mac'; did you mean 'macs'?"),
        ({"macs": 5.0}, BudgetError, "`macs = 5.0` is not a limit"),
        ({"macs": -1}, BudgetError, "`macs = -1` is not a limit"),
        ({"macs": True}, BudgetError, "`macs = True` is not a limit"),
        ({"macs": "5 %"}, BudgetError, "`macs = '5 %'` is not a limit"),
        ({"macs": "+x %"}, BudgetError, "`macs = '+x %'` is not a limit"),
        ({"tops_at_30fps_on": 5}, UnknownNameError, "no option or figure named 'tops_at_30fps_on'"),
        ({"tops_at_fps_on": {"a100": 5}}, BudgetError, "`tops_at_fps_on.a100` is not a limit"),
        ({"tops_at_30fps_on": {"a100": "much"}}, BudgetError, "`tops_at_30fps_on a100 = 'much'` is not a limit"),
        ({"macs": []}, BudgetError, "`macs = []` is not a limit"),
        ({"phases": {"foreward": {"macs": 5}}}, UnknownNameError, "no phase named 'foreward'; did you mean 'forward'?"),
        ({"phases": {"forward": {"params": 5}}}, UnknownNameError, "no figure of phases named 'params'"),
        ({"modules": {"a": {"calls": 5}}}, UnknownNameError, "no figure of modules named 'calls'"),
        ({"modules": {"macs": 5}}, BudgetError, "`modules.macs` is not a limit"),
        ({"module": {"a": {"macs": 5}}}, BudgetError, "`module.a.macs` is not a limit"),
    ],
)
def test_what_is_no_limit_is_one_line(table, error, message):
    with pytest.raises(error) as caught:
        parse_limits(table)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
