"""Work of a custom autograd.Function or checkpoint is that of the module that called it.

The law: a module costs the same inside a model as alone, forward, backward and recompute together.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

import profiler

F = torch.autograd.Function


class Product(F):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad @ w.t(), x.t() @ grad


class OnceDifferentiable(Product):
    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        return Product.backward(ctx, grad)


class WithContext(F):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, w):
        return x @ w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad @ w.t(), x.t() @ grad


class Identity(F):
    """Runs an operator in its backward alone."""

    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad @ torch.eye(8)


class Nested(F):
    """Applies another function in its forward, and differentiates it in its backward."""

    @staticmethod
    def forward(ctx, x, w):
        with torch.enable_grad():
            x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
            ctx.inputs, ctx.output = (x, w), Product.apply(Product.apply(x, w), w)
        return ctx.output.detach()

    @staticmethod
    def backward(ctx, grad):
        return torch.autograd.grad(ctx.output, ctx.inputs, grad)


class Rerun(F):
    """A checkpoint written by hand: it runs its function again, without calling a module."""

    @staticmethod
    def forward(ctx, function, x, *parameters):
        ctx.function, ctx.parameters = function, parameters
        ctx.save_for_backward(x)
        return function(x)

    @staticmethod
    def backward(ctx, grad):
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            output = ctx.function(x)
        grads = torch.autograd.grad(output, (x, *ctx.parameters), grad)
        return None, *grads


class Block(nn.Module):
    """Has a weight and a child, and computes ``function(self, x)``."""

    def __init__(self, function) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))
        self.child = nn.Linear(8, 8)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def derivative_inside(m, x):
    """Differentiate in the forward, as a force field does; no operator lies between the function and its gradient."""
    with torch.enable_grad():
        x = x if x.requires_grad else x.requires_grad_()
        (grad,) = torch.autograd.grad(Product.apply(x, m.w), x, x, create_graph=True)
    return grad


BLOCKS = {
    "function": lambda m, x: Product.apply(x, m.w),
    "once_differentiable": lambda m, x: OnceDifferentiable.apply(x, m.w),
    "setup_context": lambda m, x: WithContext.apply(x, m.w),
    "vmap": lambda m, x: torch.vmap(WithContext.apply, in_dims=(0, None))(x[None], m.w)[0],
    "before and after a child": lambda m, x: Product.apply(m.child(Product.apply(x, m.w)), m.w),
    "after a child": lambda m, x: Identity.apply(m.child(x)),
    "before a child": lambda m, x: m.child(Identity.apply(x)),
    "nested": lambda m, x: Nested.apply(x, m.w),
    "by hand": lambda m, x: Rerun.apply(lambda x: (x @ m.w).relu() @ m.w, x, m.w),
    "by hand, functions": lambda m, x: Rerun.apply(lambda x: Product.apply(Product.apply(x, m.w), m.w), x, m.w),
    "by hand, a child": lambda m, x: Rerun.apply(lambda x: m.child(x) @ m.w, x, *m.child.parameters(), m.w),
    "by hand in by hand": lambda m, x: Rerun.apply(
        lambda x: Rerun.apply(lambda x: m.child(x) @ m.w, x, *m.child.parameters(), m.w) @ m.w,
        x, *m.child.parameters(), m.w,
    ),
    "reentrant": lambda m, x: checkpoint(lambda x: m.child(x @ m.w) @ m.w, x, use_reentrant=True),
    "reentrant in reentrant": lambda m, x: checkpoint(
        lambda x: checkpoint(lambda x: m.child(x @ m.w), x, use_reentrant=True) @ m.w, x, use_reentrant=True
    ),
    "not reentrant": lambda m, x: checkpoint(
        lambda x: m.child(Product.apply(m.child(x @ m.w) @ m.w, m.w)), x, use_reentrant=False
    ),
    "not reentrant in reentrant": lambda m, x: checkpoint(
        lambda x: checkpoint(lambda x: m.child(m.child(x) @ m.w), x, use_reentrant=False) @ m.w, x, use_reentrant=True
    ),
    "derivative inside": derivative_inside,
}  # fmt: skip


def step(model, depth: int):
    """Profile forward and backward; return the MACs by the first *depth* parts of the path, and the profile."""
    with profiler.profile(model) as p:
        model(torch.ones(4, 8, requires_grad=True)).sum().backward()
    sums: Counter[str] = Counter()
    for entry in p.entries:
        sums[".".join(entry.record.module.split(".")[:depth])] += entry.totals.macs
    return {path: macs for path, macs in sums.items() if macs}, p


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_costs_in_a_model_what_it_costs_alone(name):
    alone = step(Block(BLOCKS[name]), 0)[1]
    blocks = [Block(BLOCKS[name]) for _ in range(3)]
    model = nn.Sequential(blocks[0], nn.ReLU(), nn.Sequential(blocks[1], nn.Tanh()), blocks[2], nn.ReLU())
    by_path, p = step(model, 2)
    macs = alone.totals.macs
    inside = {path: sum(n for own, n in by_path.items() if (own + ".").startswith(path + ".")) for path in "034"}
    assert by_path.keys() <= {"0", "0.child", "2.0", "3", "3.child"}, "work at a module without products"
    assert (inside["0"], by_path.get("2.0"), inside["3"]) == (macs, macs, macs)
    for phase, totals in alone.phases.items():
        assert p.phases[phase].macs == 3 * totals.macs


def tanh_of_product(x, w):
    return torch.tanh(Product.apply(x, w))


def again(function, reentrant):
    return lambda x, w: checkpoint(function, x, w, use_reentrant=reentrant)


def by_hand(function):
    """Write a checkpoint of ``function(x, w)`` by hand."""
    return lambda x, w: RerunOfTwo.apply(function, x, w)


class RerunOfTwo(F):
    @staticmethod
    def forward(ctx, function, x, w):
        ctx.function = function
        ctx.save_for_backward(x, w)
        return function(x, w)

    @staticmethod
    def backward(ctx, grad):
        x, w = (saved.detach().requires_grad_() for saved in ctx.saved_tensors)
        with torch.enable_grad():
            output = ctx.function(x, w)
        output.backward(grad)
        return None, x.grad, w.grad


#: How often each runs the product of the block again.
RERUNS = {
    "a function": (again(Product.apply, False), 1),
    "a function, reentrant": (again(Product.apply, True), 1),
    "a function, by hand": (by_hand(Product.apply), 1),
    "a function and an operator, by hand": (by_hand(tanh_of_product), 1),
    # torch stops the outer one early: all that it saved are the arguments of the inner one
    "twice": (again(again(tanh_of_product, False), False), 1),
    "twice, with an operator after": (again(lambda x, w: again(tanh_of_product, False)(x, w).tanh(), False), 2),
    "twice, reentrant": (again(again(tanh_of_product, True), True), 2),
    "reentrant around the other": (again(again(tanh_of_product, False), True), 2),
    "reentrant inside the other": (again(again(tanh_of_product, True), False), 2),
    "by hand around a checkpoint": (by_hand(again(tanh_of_product, False)), 2),
    "a function that no checkpoint is around": (tanh_of_product, 0),
}


@pytest.mark.parametrize("name", RERUNS)
def test_each_rerun_is_recompute_of_the_module_that_called_the_checkpoint(name):
    function, times = RERUNS[name]
    model = nn.Sequential(Block(lambda m, x: function(x, m.w)), nn.ReLU(), Block(lambda m, x: function(x, m.w)))
    by_path, p = step(model, 3)
    product = 4 * 8 * 8
    assert {phase: totals.macs // product for phase, totals in p.phases.items()} == {
        "forward": 2, "backward": 4, "recompute": 2 * times, "optimizer": 0,
    }  # fmt: skip
    assert by_path == {"0": (3 + times) * product, "2": (3 + times) * product}


def test_a_function_in_a_backward_is_no_rerun_after_one_by_hand():
    class ProductsInBackward(Product):
        @staticmethod
        def backward(ctx, grad):
            x, w = ctx.saved_tensors
            return Product.apply(grad, w.t()), Product.apply(x.t(), grad)

    hand = by_hand(lambda x, w: torch.tanh(x * 1) @ w)
    model = nn.Sequential(Block(lambda m, x: ProductsInBackward.apply(x, m.w)), Block(lambda m, x: hand(x, m.w)))
    _, p = step(model, 3)
    assert {phase: totals.macs // (4 * 8 * 8) for phase, totals in p.phases.items()} == {
        "forward": 2, "backward": 4, "recompute": 1, "optimizer": 0,
    }  # fmt: skip


def test_what_a_checkpoint_runs_itself_is_work_of_its_caller_and_not_of_a_child():
    model = nn.Sequential(
        Block(lambda m, x: checkpoint(lambda x: m.child(torch.tanh(x @ m.w)), x, use_reentrant=False))
    )
    by_path, _ = step(model, 3)
    # the child is the first to ask for what was not saved; it is not run again itself, since torch stops early
    assert by_path == {"0": 4 * 4 * 8 * 8, "0.child": 3 * 4 * 8 * 8}


def test_children_of_a_rerun_function_have_their_own_share():
    model = nn.Sequential(Block(BLOCKS["reentrant in reentrant"]))
    by_path, p = step(model, 3)
    product = 4 * 8 * 8
    # each runs once, is rerun, and has two gradients; what is in the inner checkpoint is rerun for both of them
    assert by_path == {"0.child": 5 * product, "0": (5 + 4) * product}
    assert {phase: totals.macs // product for phase, totals in p.phases.items()} == {
        "forward": 3, "backward": 6, "recompute": 5, "optimizer": 0,
    }  # fmt: skip


def test_a_hand_written_checkpoint_is_recompute():
    _, p = step(Block(BLOCKS["by hand"]), 0)
    product = 4 * 8 * 8
    assert p.phases["recompute"].macs == 2 * product
    assert p.model_flops < p.hardware_flops


def test_a_double_backward_through_a_function_is_no_recompute():
    block = Block(BLOCKS["function"])
    x = torch.ones(4, 8, requires_grad=True)
    with profiler.profile(block) as p:
        output = block(x)
        (grad,) = torch.autograd.grad(output, x, torch.ones(4, 8), create_graph=True)
        grad.pow(2).sum().backward()
    assert p.phases["recompute"].macs == 0
    assert {entry.record.module for entry in p.entries if entry.totals.macs} == {""}
