"""What saves memory in a training step, against steps that are run by themselves, and closed forms."""

from __future__ import annotations

import json

import pytest
import torch
from cli.command import run
from torch import nn

import profiler
from profiler.run.eight_bit_adam import EightBitAdam
from profiler.run.lora import Lora, parse_lora

NETS = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, wide):
        super().__init__()
        self.up, self.down = nn.Linear(wide, 4 * wide), nn.Linear(4 * wide, wide)
    def forward(self, x): return x + self.down(self.up(x).relu().relu())

class Net(nn.Module):
    def __init__(self, wide=64, deep=3):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(wide) for _ in range(deep)))
        self.head = nn.Linear(wide, 2)
    def forward(self, x): return self.head(self.blocks(x))

def net(): return Net()
def own_inputs(): return Net(), (torch.empty(32, 64),)

class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
    def forward(self, x): return self.a(x) if x.sum().item() < 1e9 else x
"""
STEP = ("nets.py:net", "--input", "64", "--batch", "64", "--train", "--optimizer", "adamw", "--format", "json")


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def memory(capsys, *words):
    status, out, err = run(capsys, *words)
    assert status == 0, err
    return json.loads(out)["memory"]


def peak(capsys, *words):
    return memory(capsys, *words)["peak"]["bytes"]["total"]


def savings(capsys, *words):
    return {saving["change"]: saving for saving in memory(capsys, *words)["savings"]}


def test_a_step_has_no_list_unless_it_is_asked_for(capsys, here):
    assert not memory(capsys, *STEP).get("savings")


def test_each_change_is_the_step_that_has_it(capsys, here):
    rows = savings(capsys, *STEP, "--savings")
    before = peak(capsys, *STEP)
    half = ("nets.py:net", "--input", "64", "--batch", "32", *STEP[5:])
    alone = {
        "activation checkpointing by block": peak(capsys, *STEP, "--checkpoint"),
        "bfloat16 weights": peak(capsys, *STEP, "--dtype", "bfloat16"),
        "a batch of 32": peak(capsys, *half),
    }
    for name, after in alone.items():
        assert (rows[name]["before"], rows[name]["after"]) == (before, after)
        assert "is_applied" not in rows[name]
        assert after < before
    assert rows["a batch of 32"]["flops_after"] * 2 == pytest.approx(rows["a batch of 32"]["flops_before"], rel=1e-2)
    assert rows["activation checkpointing by block"]["flops_after"] > rows["bfloat16 weights"]["flops_after"]


def test_eight_bits_save_three_quarters_of_the_states_less_the_scales(capsys, here):
    # three blocks of 64·256 and 256·64 weights: a byte instead of four in each of two states, and 4 B for each 256;
    # torch's AdamW also keeps the number of steps of each of the 14 parameters, in 4 B
    rows = savings(capsys, *STEP, "--savings")
    weights = 3 * 2 * 64 * 256
    saved = rows["8-bit optimizer states"]["before"] - rows["8-bit optimizer states"]["after"]
    assert saved == 2 * weights * 3 - 2 * 4 * weights // 256 + 14 * 4


def test_eight_bit_states_are_a_byte_an_element_and_small_ones_are_whole():
    model = nn.Linear(64, 65, device="meta")  # 4,160 weights in 17 blocks; a bias of 65 is below 4,096 elements
    step = profiler.count_step(model, torch.empty(2, 64, device="meta"), optimizer=EightBitAdam(model.parameters()))
    assert step.memory.peak.bytes["optimizer_state"] == 2 * (4160 + 17 * 4) + 2 * 65 * 4


def test_what_checkpointing_saves_stands_beside_what_it_costs(capsys, here):
    (saving,) = savings(capsys, *STEP, "--checkpoint").values()
    assert (saving["before"], saving["after"]) == (peak(capsys, *STEP), peak(capsys, *STEP, "--checkpoint"))
    assert saving["is_applied"]
    assert saving["flops_after"] > saving["flops_before"]
    _, out, _ = run(capsys, *STEP[:-2], "--checkpoint")
    (line,) = [line for line in out.splitlines() if line.startswith("activation checkpointing")]
    assert f"{saving['before'] - saving['after']:,}" in line
    assert "FLOPs +" in out


def test_a_change_that_is_not_known_is_a_line_with_its_reason(capsys, here):
    words = ("nets.py:net", "--input", "64", "--batch", "1", "--train", "--savings")
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "8-bit optimizer states: known for --optimizer adam and adamw" in out
    assert "half the batch: the batch is 1" in out
    assert "\n- half the batch: the batch is 1" in run(capsys, *words, "--format", "markdown").out


def test_a_batch_that_a_factory_gives_is_cut_too(capsys, here):
    rows = savings(capsys, "nets.py:own_inputs", "--train", "--savings", "--format", "json")
    assert rows["a batch of 16"]["after"] < rows["a batch of 16"]["before"]


def test_a_model_that_needs_values_says_so(capsys, here):
    rows = savings(capsys, "nets.py:Looks", "--input", "8", "--train", "--savings", "--format", "json")
    assert "after" not in rows["any change"]
    assert "does not run on meta" in rows["any change"]["why"]


def test_lora_trains_the_adapters_alone(capsys, here):
    pytest.importorskip("peft")
    lora = (*STEP, "--lora", "r=4,targets=up")
    status, out, err = run(capsys, *lora)
    assert status == 0, err
    document = json.loads(out)
    # each of three layers from 64 to 256: matrices of 64·4 and 4·256, each trained by one more product a row
    assert document["totals"]["trainable_params"] == 3 * 4 * (64 + 256)
    assert {row["path"] for row in document["modules"]} >= {"blocks.0.up", "blocks.2.down", "head"}
    (saving,) = document["memory"]["savings"]
    assert (saving["change"], saving["is_applied"]) == ("LoRA r=4,targets=up", True)
    assert (saving["before"], saving["after"]) == (peak(capsys, *STEP), peak(capsys, *lora))


def test_lora_without_targets_adapts_every_linear_layer(capsys, here):
    pytest.importorskip("peft")
    _, out, _ = run(capsys, *STEP, "--lora", "r=2")
    assert json.loads(out)["totals"]["trainable_params"] == 3 * 2 * 2 * (64 + 256) + 2 * (64 + 2)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--train", "--lora", "16"), "write r=16, or r=16,targets=q_proj,v_proj"),
        (("--train", "--lora", "r=0"), "has no rank"),
        (("--train", "--lora", "r=4,targets=,"), "does not name its layers"),
        (("--train", "--lora", "r=4,targets=none"), "--lora r=4,targets=none does not fit the model"),
        (("--lora", "r=4"), "--lora needs a training step; add --train"),
        (("--savings",), "--savings needs a training step; add --train"),
        (("--train", "--savings", "--world", "2", "--mesh", "dp=2"), "do not apply to the ranks of a world"),
    ],
)
def test_lora_and_savings_that_cannot_be_are_refused_in_a_line(capsys, here, words, part):
    pytest.importorskip("peft")
    status, out, err = run(capsys, "nets.py:net", "--input", "64", *words)
    assert (status, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1


def test_the_parts_of_lora_are_read():
    assert parse_lora("r = 8, targets = q_proj , v_proj") == Lora(8, ("q_proj", "v_proj"))
    assert str(Lora(8, ("q_proj", "v_proj"))) == "r=8,targets=q_proj,v_proj"


def test_the_phase_of_an_optimizer_without_allocations_has_the_level_at_its_start():
    model = nn.Linear(64, 64, bias=False, device="meta")
    step = profiler.count_step(model, torch.empty(1, 64, device="meta"), optimizer="sgd")
    # the weight and its gradient, and at least the input
    assert step.phases["optimizer"].peak_memory["total"] >= 2 * 64 * 64 * 4 + 64 * 4
