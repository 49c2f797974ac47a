"""``--input-file``, in every command that takes inputs."""

from __future__ import annotations

import json

import pytest
import torch
from cli.command import run

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, batch, scale="one"):
        return sum(self.layer(x) for x in batch["images"])
"""
BUDGETS = """
[[budget]]
target = "nets.py:Net"
input_file = "batch.pt"
macs = 192
"""
#: Three rows through 8 × 4 weights, twice.
MACS = 192


@pytest.fixture
def batch(here):
    torch.save({"batch": {"images": [torch.ones(3, 8), torch.ones(3, 8)]}, "scale": "two"}, here / "batch.pt")
    return here


def test_profile_and_peers(capsys, batch):
    words = ("nets.py:Net", "--input-file", "batch.pt", "--format", "json", "--quiet")
    assert json.loads(run(capsys, *words)[1])["totals"]["macs"] == MACS
    findings = json.loads(run(capsys, *words, "--against", "thop")[1])["findings"]
    assert findings
    assert [finding for finding in findings if finding["verdict"] not in {"agrees", "explained"}] == []


def test_compare_rank_and_diff(capsys, batch):
    given = ("--input-file", "batch.pt", "--quiet")
    (row,) = json.loads(run(capsys, "compare", "nets.py:Net", *given, "--format", "json")[1])["models"]
    assert row["macs"] == MACS
    assert run(capsys, "rank", "nets.py:Net", *given, "--on", "l4").status == 0
    assert run(capsys, "diff", "nets.py:Net", "nets.py:Net", *given, "--fail-on-change").status == 0


def test_check(capsys, batch):
    (batch / "budgets.toml").write_text(BUDGETS)
    assert run(capsys, "check", "budgets.toml", "--quiet").status == 0


def test_derive_needs_sizes_that_vary(capsys, batch):
    status, _, err = run(capsys, "derive", "nets.py:Net", "--vary", "batch", "--input", "@batch.pt")
    assert status == 2
    assert "the inputs in batch.pt have fixed sizes; write --input NAME=SIZE,SIZE to vary them" in err


def test_a_file_that_is_not_there_is_one_line(capsys, here):
    status, out, err = run(capsys, "nets.py:Net", "--input-file", "batch.pt")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "there is no input file 'batch.pt'; save tensors" in err
