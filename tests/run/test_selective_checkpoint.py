"""Selective checkpointing: what runs again is every second product and what lies between, and no attention."""

from __future__ import annotations

import torch
from torch import nn

from profiler.run.step_options import checkpointed
from profiler.run.training_step import count_step

WIDTH, TOKENS = 16, 8


class Block(nn.Module):
    """Four products of WIDTH × WIDTH, and an attention of one head."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(x).unsqueeze(0) for layer in (self.query, self.key, self.value))
        return x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).squeeze(0)).relu()


def recomputed(how):
    model = nn.Sequential(Block(), Block()).train()
    with checkpointed(model, list(model), how=how):
        profile = count_step(model, torch.ones(TOKENS, WIDTH, requires_grad=True))
    again = [e for e in profile.entries if e.record.phase == "recompute"]
    return {e.record.packet: sum(f.record.calls for f in again if f.record.packet == e.record.packet) for e in again}


def test_every_second_product_is_run_again_and_no_attention():
    again = recomputed("selective")
    assert again["aten.mm"] == 2 * 2  # blocks × half of their products
    assert not any("scaled_dot_product" in name for name in again)
    assert again.get("aten.relu", 0) == 2


def test_all_is_run_again_by_default():
    assert recomputed(how=True)["aten.mm"] >= 2 * 3
