"""Programs that were compiled before run as a whole: what they compute is unseen, and the totals say so."""

from __future__ import annotations

import contextlib
import shutil

import pytest
import torch
from torch import nn

import profiler
from profiler.values.records import UNSEEN_WORK

X = torch.ones(4, 8)


class Runs(nn.Module):
    """A linear layer after a program."""

    def __init__(self, program) -> None:
        super().__init__()
        self.program, self.linear = program, nn.Linear(8, 8, bias=False)

    def forward(self, x):
        return self.linear(self.program(x))


def attempt(owner, name):
    """Return a program that calls a method, which fails here: there is no GPU, and no library."""

    def program(x):
        with contextlib.suppress(Exception):
            getattr(owner, name)(None)
        return x

    return program


@pytest.mark.parametrize(
    ("owner", "name"),
    [(torch.cuda.CUDAGraph, "replay"), (torch._C._aoti.AOTIModelPackageLoader, "boxed_run")],
    ids=["CUDA graph", "AOTInductor"],
)
def test_a_run_of_a_compiled_program_is_listed(owner, name):
    method = getattr(owner, name)
    p = profiler.count(Runs(attempt(owner, name)), X)
    assert [(row.operator, row.calls, row.module) for row in p.uncounted] == [(UNSEEN_WORK, 1, "")]
    assert not p.is_complete
    assert getattr(owner, name) is method


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning")  # of the compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs a compiler of C++")
def test_a_library_of_aotinductor_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    program = torch.export.export(nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 8)).eval(), (X,))
    package = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))
    p = profiler.count(Runs(torch._inductor.aoti_load_package(package)).eval(), X)
    assert p.totals.macs == 4 * 8 * 8
    assert UNSEEN_WORK in [row.operator for row in p.uncounted]
