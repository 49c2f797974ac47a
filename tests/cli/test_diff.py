"""``profiler diff``: words in, text and an exit status out."""

from __future__ import annotations

import json

import pytest
from cli.command import run

NETS = """
from torch import nn

def block(): return nn.Sequential(nn.Linear(8, 8), nn.ReLU())
def named(**modules):
    net = nn.Sequential()
    for name, module in modules.items(): net.add_module(name, module)
    return net
def net(): return named(layer1=block(), fc=nn.Linear(8, 4))
def renamed(): return named(stage1=block(), fc=nn.Linear(8, 4))
def wider(): return named(layer1=block(), fc=nn.Linear(8, 5))
"""


def diff(capsys, *words):
    return run(capsys, "diff", *words, "--input", "8")


def test_the_text_names_the_module_and_the_operator(capsys, here):
    status, out, err = diff(capsys, "nets.py:net", "nets.py:wider")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines() if line.startswith("macs")] == [
        ["macs", "96", "104", "+8", "+8.3"]
    ]
    assert "~ fc Linear aten.addmm" in out
    assert "layer1" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_renamed_module_is_moved_and_not_lost_work(capsys, here):
    status, out, _ = diff(capsys, "nets.py:net", "nets.py:renamed")
    assert status == 0
    assert [line.split() for line in out.splitlines() if line.startswith("layer1")] == [
        ["layer1", "stage1", "Sequential"]
    ]
    assert "−" not in out.replace("─", "")
    document = json.loads(diff(capsys, "nets.py:net", "nets.py:renamed", "--format", "json")[1])
    assert document["moved"] == [{"was": "layer1", "path": "stage1", "type": "Sequential"}]
    assert document["modules"] == document["operators"] == []
    assert document["changed"]


def test_the_json_has_every_figure(capsys, here):
    document = json.loads(diff(capsys, "nets.py:net", "nets.py:wider", "--format", "json")[1])
    assert document["schema"] == "profiler-diff/1"
    assert document["totals"]["macs"] == {"before": 96, "after": 104, "change": 8}
    (module,) = document["modules"]
    assert (module["change"], module["path"], module["type"]) == ("changed", "fc", "Linear")
    assert module["figures"]["params"]["change"] == 9
    assert [operator["operator"] for operator in module["operators"]] == ["aten.addmm"]
    assert document["phases"]["forward"]["macs"]["change"] == 8


def test_training_steps_can_be_compared(capsys, here):
    out = diff(capsys, "nets.py:net", "nets.py:wider", "--train", "--format", "json")[1]
    # one output more: 8 products forward, 8 for the weight's gradient, 8 for the input's
    assert json.loads(out)["phases"]["backward"]["macs"]["change"] == 16
    assert diff(capsys, "nets.py:net", "nets.py:wider", "--optimizer", "sgd")[0] == 2


def test_a_saved_profile_can_be_compared_with_a_target(capsys, here):
    run(capsys, "nets.py:net", "--input", "8", "--format", "json", "--output", "old.json")
    status, out, _ = diff(capsys, "old.json", "nets.py:net", "--fail-on-change")
    assert status == 0
    assert out.endswith("\nNothing changed.\n")


@pytest.mark.parametrize("after", ["nets.py:wider", "nets.py:renamed"])
def test_fail_on_change_is_status_one(capsys, here, after):
    status, out, err = diff(capsys, "nets.py:net", after, "--fail-on-change")
    assert (status, err) == (1, f"error: nets.py:net and {after} differ\n")
    assert out


def test_output_goes_to_a_file(capsys, here):
    assert diff(capsys, "nets.py:net", "nets.py:wider", "--output", "d.txt")[:2] == (0, "")
    assert "~ fc Linear" in (here / "d.txt").read_text()


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("none.json", "nets.py:net"), 2, "cannot read none.json"),
        (("cut.json", "nets.py:net"), 2, "cut.json is not JSON, or was cut short"),
        (("nets.py:net", "nets.py:nett"), 2, "nett"),
        (("nets.py:net",), 2, "AFTER"),
        (("nets.py:net", "nets.py:net", "--format", "xml"), 2, "xml"),
    ],
)
def test_bad_input_is_one_line_and_a_status(capsys, here, words, status, part):
    (here / "cut.json").write_text('{"schema": "prof')
    found, out, err = diff(capsys, *words)
    assert (found, out) == (status, "")
    assert err.startswith("error: ")
    assert part in err
    assert len(err.splitlines()) == 1
