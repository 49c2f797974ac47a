"""``torch.cond``, and the loops like ``scan``, in a profiled block."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._higher_order_ops import map as torch_map
from torch._higher_order_ops import scan, while_loop
from torch._higher_order_ops.invoke_subgraph import invoke_subgraph

import profiler

X = torch.ones(2, 8)
PRODUCT = 2 * 8 * 8


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.twice = nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x):
        return torch.cond(x.sum() > 0, self.wide, self.twice, (x,))


@pytest.mark.parametrize(("sign", "products"), [(1, 1), (-1, 2)])
@pytest.mark.parametrize("captured_alone", [False, True])
def test_the_branch_that_runs_is_counted_with_its_gradients(sign, products, captured_alone):
    model = Branches()
    x = (sign * X).requires_grad_(not captured_alone)
    with profiler.profile(model) as p:
        model(x).sum().backward()
    assert p.uncounted == ()
    assert p.phases["forward"].macs == products * PRODUCT
    assert p.phases["backward"].macs == (2 * products - captured_alone) * PRODUCT
    chosen = set((model.wide if sign > 0 else model.twice).parameters())
    assert {p for p in model.parameters() if p.grad is not None} == chosen


def test_conditions_are_compiled_again_after_the_block():
    key, kernels = torch._C.DispatchKey.Autograd, torch.ops.higher_order.cond.py_kernels
    before = kernels[key]
    with profiler.profile(Branches()):
        assert kernels[key] is not before
    assert kernels[key] is before


def test_without_gradients_it_is_the_same():
    assert profiler.count(Branches(), X).totals.macs == PRODUCT


class Loop(nn.Module):
    """Multiplies each of three rows by a weight that the function of a loop captures; counts its calls."""

    def __init__(self, run) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(8, 8))
        self.run, self.calls = run, 0

    def product(self, x):
        self.calls += 1
        return x @ self.w

    def forward(self, xs):
        return self.run(self.product, xs)


def loop_while(product, xs):
    return while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, product(x)), (torch.tensor(0), xs[0]))[1]


LOOPS = {
    "scan": lambda product, xs: scan(lambda sums, x: (sums + product(x), sums * 1), torch.zeros(2, 8), xs, dim=0)[0],
    "map": torch_map,
    "while_loop": loop_while,
}
PLAIN = {
    "scan": lambda product, xs: sum(product(x) for x in xs),
    "map": lambda product, xs: torch.stack([product(x) for x in xs]),
    "while_loop": lambda product, xs: product(product(product(xs[0]))),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_that_captures_a_weight_has_the_gradient_of_plain_code(name):
    model, xs = Loop(LOOPS[name]), torch.rand(3, 2, 8)
    with profiler.profile(model) as p:
        model(xs).sum().backward()
    products = 5 if name == "while_loop" else 3  # the first of a chain has no gradient of its input
    assert p.phases["forward"].macs == model.calls * PRODUCT
    assert p.phases["backward"].macs == products * PRODUCT
    assert p.is_complete
    gradient, model.w.grad = model.w.grad, None
    PLAIN[name](model.product, xs).sum().backward()
    torch.testing.assert_close(gradient, model.w.grad)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_without_gradients_counts_each_call(name):
    model = Loop(LOOPS[name])
    with torch.no_grad(), profiler.profile(model) as p:
        model(torch.rand(3, 2, 8))
    assert p.totals.macs == model.calls * PRODUCT >= 3 * PRODUCT


def test_a_subgraph_that_is_invoked_is_counted():
    graph = torch.fx.symbolic_trace(lambda x: (x @ x.t(),))
    with profiler.profile() as p:
        invoke_subgraph(graph, "product", torch.ones(2, 8))
    assert p.totals.macs == 2 * 8 * 2
