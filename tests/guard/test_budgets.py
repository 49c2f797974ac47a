"""A file of budgets, and what is no such file."""

from __future__ import annotations

import pytest

from profiler.errors import BudgetError
from profiler.guard import Metric, load_budgets

GOOD = """
baselines = "accepted"

[[budget]]
target = "resnet18"
batch = 2
input = "3x64x64"
macs = 1_000
modules."layer4.*".flops = "+1 %"

[[budget]]
name = "half"
target = "hf:gpt2"
input = ["input_ids=1x8", "attention_mask=1x8"]
dtype = "bfloat16"
device = "meta"
params = 5
uncounted = 3
"""


@pytest.fixture
def load(tmp_path):
    def _load(text):
        path = tmp_path / "budgets.toml"
        path.write_text(text)
        return load_budgets(path)

    return _load


def test_a_budget_has_a_target_options_and_limits(load, tmp_path):
    found = load(GOOD)
    first, second = found.budgets
    assert found.baselines == tmp_path / "accepted"
    assert (first.name, first.target, first.batch, first.inputs) == ("resnet18", "resnet18", 2, ("3x64x64",))
    assert [limit.metric.label for limit in first.limits] == ["macs", "layer4.* flops", "uncounted"]
    assert (second.name, second.target, second.dtype, second.device) == ("half", "hf:gpt2", "bfloat16", "meta")
    assert second.inputs == ("input_ids=1x8", "attention_mask=1x8")
    assert [(limit.metric, limit.written) for limit in second.limits] == [
        (Metric("params"), 5),
        (Metric("uncounted"), 3),
    ]


def test_a_budget_knows_its_line(load):
    lines = GOOD.splitlines()
    assert [lines[budget.line - 1] for budget in load(GOOD).budgets] == ["[[budget]]", "[[budget]]"]
    assert load(GOOD).budgets[1].line > load(GOOD).budgets[0].line


def test_tables_written_inline_are_budgets_too(load):
    found = load('budget = [{target = "a", macs = 1}, {target = "b", macs = 2}]')
    assert [budget.name for budget in found.budgets] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[budget]", "is not TOML"),
        ("", "budget: Field required"),
        ("budget = []", "budget: List should have at least 1 item"),
        ("budgets = 3", "Field required"),
        ("[[budget]]\nmacs = 1", "budget.0.target: Field required"),
        ('[[budget]]\ntarget = "a"', "budget 'a' has no limit"),
        ('[[budget]]\ntarget = "a"\nbatch = 0\nmacs = 1', "budget.0.batch"),
        ('[[budget]]\ntarget = "a"\nbatch = "2"\nmacs = 1', "budget.0.batch"),
        ('[[budget]]\ntarget = "a"\nmac = 1', "budget 'a': no option or figure named 'mac'; did you mean 'macs'?"),
        ('[[budget]]\ntarget = "a"\nmacs = "lots"', "budget 'a': `macs = 'lots'` is not a limit"),
        ('[[budget]]\ntarget = "a"\nmacs = 1\n[[budget]]\ntarget = "a"\nmacs = 2', "2 budgets are named 'a'"),
    ],
)
def test_what_is_no_budget_is_one_line(load, text, message):
    with pytest.raises(BudgetError) as caught:
        load(text)
    assert message in str(caught.value)
    assert "budgets.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(BudgetError, match=r"^cannot read .*none\.toml: No such file"):
        load_budgets(tmp_path / "none.toml")
