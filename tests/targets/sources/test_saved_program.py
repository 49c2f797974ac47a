"""Exported and scripted programs in files."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ModelError, TargetError
from profiler.targets import TensorInput, build, make_inputs, resolve


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        return self.down(self.up(x).relu())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.blocks = nn.Sequential(Block(), Block())

    def forward(self, ids, extra, scale=2, *, mask=None):
        return self.blocks(self.words(ids) * scale + extra["shift"][0]) * mask


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "net.pt2"
    extra = {"shift": [torch.randn(2, 5, 8)]}
    program = torch.export.export(
        Net().eval(), (torch.zeros(2, 5, dtype=torch.long), extra, 3), {"mask": torch.ones(2, 5, 8)}
    )
    torch.export.save(program, path)
    return str(path)


def test_an_exported_program_brings_its_example_inputs(exported):
    ids, extra, scale, mask = resolve(exported).inputs
    assert ids.value == TensorInput((2, 5), "int64")
    assert extra.value == {"shift": [TensorInput((2, 5, 8), "float32")]}
    assert (scale.value, mask.name) == (3, "mask")
    assert resolve(exported).prefers == "cpu"


def test_an_exported_program_has_its_modules_back(exported):
    target = resolve(exported)
    module = build(target, device=target.prefers)
    args, kwargs = make_inputs(target, module, device=target.prefers)
    profile = profiler.count(module, *args, **kwargs)
    # Two linear layers of 8 × 16 for each of 2 · 5 words, in each block.
    assert profile.nodes["blocks.1.down"].total.macs == 2 * 5 * 16 * 8
    assert profile.totals.macs == 4 * 2 * 5 * 16 * 8


def test_a_batch_that_the_program_was_not_exported_for_is_refused_by_the_model(exported):
    target = resolve(exported)
    module = build(target, device="cpu")
    args, kwargs = make_inputs(target, module, batch=3, device="cpu")
    with pytest.raises(ModelError, match="equal to 2, but got 3"):
        profiler.count(module, *args, **kwargs)


@pytest.mark.parametrize("suffix", ["pt", "ts"])
def test_a_scripted_module_runs_on_the_cpu(tmp_path, suffix):
    path = tmp_path / f"block.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Block().eval()).save(str(path))
    target = resolve(str(path))
    module = build(target, device=target.prefers)
    (x,), _ = make_inputs(target, module, ["8"], device=target.prefers)
    assert target.prefers == "cpu"
    assert module(x).shape == (1, 8)


@pytest.mark.parametrize("suffix", ["pt2", "pt", "ts"])
def test_a_file_that_is_not_there_is_named(suffix):
    with pytest.raises(TargetError, match=f"^no file 'none.{suffix}'$"):
        resolve(f"none.{suffix}")


@pytest.mark.parametrize(
    ("suffix", "expected"), [("pt2", "an exported program"), ("pt", "a scripted module"), ("ts", "a scripted module")]
)
@pytest.mark.parametrize("content", [b"", b"no program"])
def test_a_file_that_holds_no_program_is_refused_in_one_line(tmp_path, suffix, expected, content):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        resolve(str(path))
    assert str(caught.value).startswith(f"{path} is not {expected} (torch.")
    assert "\n" not in str(caught.value)
