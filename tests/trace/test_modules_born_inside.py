"""Parameters and modules that the first forward creates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler

X = torch.ones(4, 32)


class Grows(nn.Module):
    """Builds its layers when it is first called: ``how(self, layer)`` registers one."""

    def __init__(self, how) -> None:
        super().__init__()
        self.blocks, self.table, self.how = nn.ModuleList(), nn.ModuleDict(), how
        self.layers: list[nn.Module] = []

    def forward(self, x):
        if not self.layers:
            self.layers = [nn.Linear(32, 8, bias=False), nn.Sequential(nn.ReLU(), nn.Linear(8, 2, bias=False))]
            for number, layer in enumerate(self.layers):
                self.how(self, layer, number)
        for layer in self.layers:
            x = layer(x)
        return x


WAYS = {
    "attribute": (lambda m, layer, n: setattr(m, f"l{n}", layer), ("l0", "l1.1")),
    "list": (lambda m, layer, n: m.blocks.append(layer), ("blocks.0", "blocks.1.1")),
    "mapping": (lambda m, layer, n: m.table.update({f"k{n}": layer}), ("table.k0", "table.k1.1")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("root", [True, False])
def test_a_layer_built_in_the_forward_works_for_itself(way, root):
    register, (first, second) = WAYS[way]
    model = Grows(register) if root else nn.Sequential(nn.Identity(), Grows(register))
    prefix = "" if root else "1."
    with profiler.profile(model) as p:
        model(X).sum().backward()
        model(X)
    macs = {path: node.own.macs for path, node in p.nodes.items() if node.own.macs}
    assert macs == {prefix + first: 3 * 4 * 32 * 8, prefix + second: 4 * 4 * 8 * 2}
    assert p.nodes[prefix + second].module.calls == 2
    assert p.totals.params * 4 == p.memory.peak.bytes["parameter"] == 4 * (32 * 8 + 8 * 2)


@pytest.mark.parametrize("train", [True, False])
def test_parameters_of_lazy_layers_are_parameters(train):
    model = nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.LazyBatchNorm1d(), nn.LazyLinear(10))
    with torch.set_grad_enabled(train), profiler.profile(model) as p:
        loss = model(X).sum()
        if train:
            loss.backward()
    size = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert p.totals.params * 4 == p.memory.peak.bytes["parameter"] == size
    assert p.memory.peak.bytes["buffer"] == sum(buffer.nbytes for buffer in model.buffers())
    assert p.memory.activations.get("0", 0) == 0
    again = profiler.count_step(model, X)
    assert again.memory.activations == p.memory.activations or not train


def test_a_module_that_stays_unregistered_works_for_its_caller():
    model = Grows(lambda m, layer, n: None)
    p = profiler.count(model, X)
    assert {path: node.own.macs for path, node in p.nodes.items() if node.own.macs} == {"": 4 * (32 * 8 + 8 * 2)}
