"""The data flow of a run: which call reads what another wrote."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import SavedProfileError
from profiler.tally.saved import from_json, to_json
from profiler.trace import data_flow
from profiler.values.data_flow import OperatorStep, format_flow, parse_flow

X = torch.ones(2, 4)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)

    def forward(self, x):
        return self.second(self.first(x).relu_()).view(-1) + x.view(-1)


def steps(p):
    return [(p.entries[s.record].record.operator.split(".")[1], s.reads, s.writes) for s in p.flow]


def test_a_storage_has_one_number_through_views_and_overwriting():
    p = profiler.count(Residual(), X)
    assert steps(p) == [("mm", (0, 1), (2,)), ("relu_", (2,), (2,)), ("mm", (2, 3), (4,)), ("add", (4, 0), (5,))]


def test_a_storage_at_a_reused_address_has_another_number():
    model = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(20)))
    written = [writes for _, _, writes in steps(profiler.count(model, X))]
    assert len(set(written)) == 20


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_call_is_in_the_flow(device):
    model, x = Residual().to(device), torch.ones(2, 4, device=device, requires_grad=True)
    with profiler.profile(model) as p:
        for _ in range(3):
            model(x).sum().backward()
    assert Counter(step.record for step in p.flow) == {i: entry.record.calls for i, entry in enumerate(p.entries)}


def test_a_list_of_tensors_is_numbered_in_its_order():
    with profiler.profile(nn.Identity()) as p:
        a, b = X + 1, X + 2
        torch.cat([b, a, b])
    assert steps(p)[-1] == ("cat", (2, 1, 2), (3,))


def test_a_long_run_has_no_flow(monkeypatch):
    monkeypatch.setattr(data_flow, "_MAX_CALLS", 3)
    model = nn.ReLU()
    assert profiler.count(model, X).flow is not None
    with profiler.profile(model) as p:
        for _ in range(4):
            model(X)
    assert p.flow is None
    assert p.totals.other_flops == 4 * 8


def test_a_sum_of_profiles_has_no_flow():
    p = profiler.count(nn.ReLU(), X)
    assert (p + p).flow is None


def test_a_flow_is_saved():
    p = profiler.count(Residual(), X)
    assert from_json(to_json(p)).flow == p.flow


@pytest.mark.parametrize("flow", ["0", "0<1", "9<0>1", "-1<0>1", "0<a>1", "0<0>1 0<0>1", "<>"])
def test_a_flow_of_other_calls_is_refused(flow):
    text = to_json(replace(profiler.count(nn.Linear(4, 4), X), flow=None))
    with pytest.raises(SavedProfileError, match="not a consistent profile"):
        from_json(text.rstrip().removesuffix("}") + f', "flow": "{flow}"}}')


def test_text_of_a_flow():
    flow = (OperatorStep(0, (0, -1), (1,)), OperatorStep(2, (), ()))
    assert format_flow(flow) == "0<0,-1>1 2<>"
    assert parse_flow(format_flow(flow)) == flow
