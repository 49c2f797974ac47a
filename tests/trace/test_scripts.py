"""Scripted models: frozen ones, whose weights are constants, and those with kernels that are not dispatched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.jit._script import RecursiveScriptModule

import profiler
from profiler.errors import UnsupportedModelError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")
X = torch.ones(4, 8)
#: Without the batch norm, which is folded.
FOLDED = 8 * 16 + 16 + 16 * 8 + 8


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)).eval()


@pytest.mark.parametrize("optimize", [torch.jit.freeze, torch.jit.optimize_for_inference])
def test_a_frozen_script_counts_like_a_model_with_its_weights(optimize):
    frozen = optimize(torch.jit.script(small()))
    first, later = profiler.count(frozen, X), profiler.count(frozen, X)
    for p in (first, later):
        assert p.totals.macs == 4 * (8 * 16 + 16 * 8)
        assert p.totals.flops == 2 * p.totals.macs + 4 * (16 + 16 + 8)  # the biases and the ReLU
        assert (p.params, p.memory.peak.bytes["parameter"]) == (FOLDED, 4 * FOLDED)
        assert p.is_complete


def test_a_frozen_script_inside_of_a_model_has_its_own_weights():
    model = nn.Sequential(torch.jit.freeze(torch.jit.script(small())), nn.Linear(8, 2))
    assert profiler.count(model, X).params == FOLDED + 8 * 2 + 2


def test_weights_in_a_list_of_the_graph_are_found():
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 3)

        def forward(self, x):
            return self.lstm(x)[0]

    frozen = torch.jit.freeze(torch.jit.script(Recurrent().eval()))
    assert profiler.count(frozen, torch.ones(5, 2, 8)).params == 4 * 3 * (8 + 3 + 2)


@pytest.mark.parametrize("runs_before", [0, 3])
def test_convolutions_that_onednn_runs_in_a_script_are_refused(runs_before):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    optimized, x = torch.jit.optimize_for_inference(torch.jit.script(model)), torch.ones(1, 3, 8, 8)
    if "mkldnn_convolution" not in str(optimized.graph):
        pytest.skip("torch runs this convolution through the dispatcher")
    for _ in range(runs_before):
        optimized(x)
    with pytest.raises(UnsupportedModelError, match=r"mkldnn_convolution.*profile the eager model"):
        profiler.count(nn.Sequential(optimized), x)


def test_a_comparison_in_the_users_code_is_recorded():
    class Compares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x if torch.equal(self.a, self.b) else -x

    p = profiler.count(Compares(), X)
    assert [entry.record.operator for entry in p.entries] == ["aten.equal.default"]


GRAPH = """
graph(%x : Tensor, %condition : bool):
  %y : Tensor = prim::If(%condition)
    block0():
      %fused : Tensor = prim::TensorExprGroup(%x)
      -> (%fused)
    block1():
      -> (%x)
  return (%y)
"""


def test_the_kernel_of_a_fuser_is_found_in_the_optimized_graph_of_any_script(monkeypatch):
    plan = SimpleNamespace(graph=torch._C.parse_ir(GRAPH))
    state = SimpleNamespace(execution_plans={0: plan})
    monkeypatch.setattr(RecursiveScriptModule, "get_debug_state", lambda _self: state, raising=False)
    with pytest.raises(UnsupportedModelError, match=r"prim::TensorExprGroup"):
        profiler.count(nn.Sequential(torch.jit.script(nn.Linear(8, 8)), nn.Linear(8, 8)), X)
