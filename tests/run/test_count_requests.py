"""Many models, counted in one process or in several: the same results in the same order."""

from __future__ import annotations

import pytest

from profiler.errors import ModelError, ProfilerError, TargetError, UnknownNameError
from profiler.run import count_requests as requests_module
from profiler.run.count_requests import CountRequest, count_requests
from profiler.util.permissions import Permissions, permit

NETS = """
import torch
from torch import nn

class Reads(nn.Module):
    def forward(self, x): return x * int(x.sum() * 0 + 2)
class Raises(nn.Module):
    def forward(self, x): raise ValueError("in the middle")
net = lambda: nn.Linear(8, 4)
"""
REQUESTS = [
    CountRequest("torch.nn:Identity", ("1",)),
    CountRequest("nets.py:net", ("8",), batch=3),
    CountRequest("nets.py:Raises", ("8",)),
    CountRequest("nets.py:nett", ("8",)),
    CountRequest("nets.py:Reads", ("8",)),
    CountRequest("resnet18", dtype="bfloat16"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)


def described(counted):
    return [
        (type(outcome), str(outcome) if isinstance(outcome, ProfilerError) else outcome.to_dict(), notes)
        for outcome, notes in counted
    ]


def test_models_in_several_processes_give_what_one_gives(monkeypatch):
    alone = described(count_requests(REQUESTS))
    assert [kind for kind, _, _ in alone[2:4]] == [ModelError, UnknownNameError]
    assert "running on the CPU" in alone[4][2][0]
    monkeypatch.setattr(requests_module, "_processes_pay", lambda left, _: left < len(REQUESTS))
    monkeypatch.setattr(requests_module, "_cores", lambda: 2)
    in_process = []
    monkeypatch.setattr(
        requests_module, "_count", lambda r, count=requests_module._count: in_process.append(r) or count(r)
    )
    assert described(count_requests(REQUESTS)) == alone
    assert in_process == REQUESTS[:1]


def test_other_processes_run_no_code_that_is_not_permitted(monkeypatch):
    monkeypatch.setattr(requests_module, "_processes_pay", lambda *_: True)
    monkeypatch.setattr(requests_module, "_cores", lambda: 2)
    with permit(Permissions(code=False)):
        assert [type(outcome) for outcome, _ in count_requests(REQUESTS[1:3])] == [TargetError] * 2


@pytest.mark.parametrize(("left", "elapsed_s", "cores", "pays"), [
    (100, 1.0, 8, False), (100, 60.0, 8, True), (100, 60.0, 1, False), (2, 60.0, 8, False),
])  # fmt: skip
def test_processes_start_if_much_is_left_after_a_while(monkeypatch, left, elapsed_s, cores, pays):
    monkeypatch.setattr(requests_module, "_cores", lambda: cores)
    assert requests_module._processes_pay(left, elapsed_s) is pays
