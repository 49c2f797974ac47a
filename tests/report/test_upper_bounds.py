"""Attention on packed sequences whose lengths are unknown is an upper bound, and says so."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import profiler
from profiler.report import render

LENGTHS = [0, 3, 10, 16]


class Packed(nn.Module):
    """Attention of sequences of 3, 7 and 6 tokens; flash attention is called as ``torch.nn.attention.varlen`` does."""

    def forward(self, x, offsets):
        return torch.ops.aten._flash_attention_forward(x, x, x, offsets, offsets, 7, 7, 0.0, False, False)[0]


def packed(values):
    with torch.device("meta"):
        return Packed(), torch.empty(16, 2, 8, dtype=torch.float16), torch.empty(4, dtype=torch.int32)


def test_unknown_lengths_are_an_upper_bound(tmp_path):
    p = profiler.count(*packed(None))
    assert (
        p.totals.macs == 2 * 2 * 16 * 7 * 8
    )  # each of 16 queries attends to 7 keys; 3² + 7² + 6² = 94 ≤ 112 of them are real
    assert [(row.operator, row.calls) for row in p.upper_bounds] == [("aten._flash_attention_forward.default", 1)]
    text = str(p)
    assert "≤ 3,584" in text
    assert "An upper bound (≤): the lengths of the sequences have no values here" in " ".join(text.split())
    assert "An upper bound" in render(p, "markdown")
    assert "An upper bound" in render(p, "html")
    assert json.loads(render(p, "json"))["upper_bounds"] == [
        {"operator": "aten._flash_attention_forward.default", "calls": 1}
    ]
    p.save(tmp_path / "p.json")
    assert profiler.load(tmp_path / "p.json") == p


def test_a_file_from_before_there_were_bounds_is_read(tmp_path):
    p = profiler.count(*packed(None))
    document = json.loads(render(p, "json"))
    del document["upper_bounds"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert profiler.load(tmp_path / "old.json") == p


@pytest.mark.parametrize("model", [nn.Linear(8, 8), nn.MultiheadAttention(8, 2)])
def test_everything_else_is_no_bound(model):
    arguments = (torch.ones(2, 8),) if isinstance(model, nn.Linear) else (torch.ones(2, 3, 8),) * 3
    p = profiler.count(model, *arguments)
    assert p.upper_bounds == ()
    assert "≤" not in str(p)
