"""``--format json``, ``csv`` and ``markdown`` of every command: that alone on stdout."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
import torch
from cli.command import run
from torch import nn

import profiler
from profiler.report import render
from profiler.values.findings import TOTAL, Claim, Finding

NETS = """
from torch import nn

print("built")

class Net(nn.Module):
    def __init__(self, wide=4):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, wide)
    def forward(self, x):
        print("ran")
        return self.b(self.a(x))

def small(): return Net()
def large(): return Net(16)
"""
BUDGETS = '[[budget]]\ntarget = "nets.py:small"\ninput = "8"\nmacs = 90\nparams = 200\n'
NAMES = ("alexnet", "resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5")
MEASURED = "target,batch,precision,ms\n" + "".join(f"{name},1,fp16,{i + 1}\n" for i, name in enumerate(NAMES))
COMMANDS = {
    "profile": ("nets.py:small", "--input", "8"),
    "check": ("check", "budgets.toml"),
    "compare": ("compare", "nets.py:small", "nets.py:large", "--input", "8"),
    "derive": ("derive", "nets.py:small", "--vary", "batch", "--input", "8"),
    "devices": ("devices", "orin"),
    "device": ("devices", "l4"),
    "diff": ("diff", "nets.py:small", "nets.py:large", "--input", "8"),
    "documents": ("documents",),
    "operators": ("operators", "bmm"),
    "peers": ("peers",),
    "peer": ("peers", "fvcore"),
    "rank": ("rank", "nets.py:small", "--input", "8", "--class", "edge"),
    "verify": ("verify", "gpu", "--claim", "gpu-1080ti,gpu-2080ti"),
    "view": ("view", "small.json"),
}
SLOW = {
    "calibrate": ("calibrate", "measured.csv", "--on", "rtx-3090"),
    "plan": ("plan", "vision-language", "--on", "l4"),
    "serve": ("serve", "hf:gpt2", "--users", "2", "--context", "64", "--on", "l4,rtx-4090"),
    "world": ("squeezenet1_1", "--world", "2", "--mesh", "dp=2", "--ddp", "--train"),
}
CASES = [pytest.param(words, id=name) for name, words in COMMANDS.items()] + [
    pytest.param(words, id=name, marks=pytest.mark.slow) for name, words in SLOW.items()
]


@pytest.fixture
def files(here, capsys):
    (here / "budgets.toml").write_text(BUDGETS)
    (here / "measured.csv").write_text(MEASURED)
    run(capsys, "nets.py:small", "--input", "8", "--format", "json", "--output", "small.json")


def written(capsys, words, form):
    status, out, err = run(capsys, *words, "--format", form)
    assert status in {0, 1}, err
    assert "built" not in out
    assert "ran" not in out.split()
    return out


@pytest.mark.parametrize("words", CASES)
def test_json_stands_alone_on_stdout(capsys, files, words):
    assert isinstance(json.loads(written(capsys, words, "json")), dict)


@pytest.mark.parametrize("words", CASES)
def test_csv_stands_alone_on_stdout_with_a_heading_and_rows_of_one_width(capsys, files, words):
    head, *rows = csv.reader(io.StringIO(written(capsys, words, "csv")))
    assert rows
    assert len(set(head)) == len(head) > 1
    assert all(len(row) == len(head) for row in rows)


@pytest.mark.parametrize("words", CASES)
def test_markdown_stands_alone_on_stdout_and_has_no_empty_table_or_heading(capsys, files, words):
    out = written(capsys, words, "markdown")
    assert out.endswith("\n")
    blocks = out.strip().split("\n\n")
    for block, following in zip(blocks, [*blocks[1:], ""], strict=True):
        if block.startswith("|"):
            assert len(block.splitlines()) > 2, block
        if block.startswith("#"):
            assert following, block
            same_or_above = rf"#{{1,{len(block.split()[0])}}} "
            assert not re.match(same_or_above, following), block


def test_verify_takes_claims_separated_by_commas(capsys):
    together = run(capsys, "verify", "gpu", "--claim", "gpu-1080ti,gpu-seconds", "--format", "json")
    apart = run(capsys, "verify", "gpu", "--claim", "gpu-1080ti", "--claim", "gpu-seconds", "--format", "json")
    assert together == apart
    assert set(json.loads(together.out)["verdicts"]) == {"gpu-1080ti", "gpu-seconds"}
    assert run(capsys, "verify", "gpu", "--claim", "gpu-1080ti,gpu-1080").status == 2


@pytest.fixture(scope="module")
def compared():
    """A profile with what two counters claim, of which one claims a module too."""
    model = nn.Sequential(nn.Linear(8, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))).to("meta")
    counted = profiler.count(model, torch.empty(1, 8, device="meta"))
    findings = (
        Finding(Claim("other", "1.0", TOTAL, "MAC", 40), 40),
        Finding(Claim("third", "1.0", "0", "MAC", 30), 32),
        Finding(Claim("broken", "2.0", TOTAL, "FLOP", None, error="it raised"), 80),
    )
    return replace(counted, findings=findings)


def table(text):
    return {row["path"]: row for row in csv.DictReader(io.StringIO(text))}


def test_csv_keeps_what_other_counters_claim(compared):
    rows = table(render(compared, "csv"))
    assert (rows[""]["other MAC"], rows[""]["other MAC unexplained"], rows[""]["other MAC verdict"]) == (
        "40", "0", "agrees",
    )  # fmt: skip
    assert (rows["0"]["third MAC"], rows["0"]["third MAC unexplained"]) == ("30", "2")
    assert rows["1"]["third MAC"] == rows["0"]["other MAC"] == ""
    assert (rows[""]["broken FLOP"], rows[""]["broken FLOP verdict"]) == ("", "failed")


def test_csv_keeps_the_depth(compared):
    assert list(table(render(compared, "csv"))) == ["", "0", "1", "1.0", "1.1"]
    assert list(table(render(compared, "csv", depth=1))) == ["", "0", "1"]
    assert list(table(render(compared, "csv", depth=0))) == [""]


def test_markdown_has_no_heading_for_a_counter_that_agrees(compared):
    text = render(compared, "markdown")
    assert "| other" in text
    assert "### other" not in text
    assert "### broken (2.0), FLOP\n\n- failed: it raised" in text
