"""Formulas of classes: custom functions and modules whose kernels are no operators."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler
from profiler import Cost, Shape
from profiler.errors import FormulaError

X = torch.ones(10, 64)
PRODUCT = 10 * 64 * 64


def with_hook(module: nn.Module) -> nn.Module:
    """Give a module a forward pre-hook: calls of such a module are followed in another way."""
    module.register_forward_pre_hook(lambda *_: None)
    return module


def make_function(*, has_setup: bool):
    """Return a Function that multiplies by a weight, in NumPy; each test registers formulas of its own."""

    def product(x, w):
        return torch.from_numpy((x.detach().numpy() @ w.detach().numpy()) + torch.zeros(1).sum().item())

    def gradients(ctx, grad):
        x, w = ctx.saved_tensors
        return grad @ w.t(), torch.from_numpy(x.numpy().T @ grad.numpy())

    class Combined(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            return product(x, w)

        backward = staticmethod(gradients)

    class Separate(torch.autograd.Function):
        @staticmethod
        def forward(x, w):
            return product(x, w)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        backward = staticmethod(gradients)

    return Separate if has_setup else Combined


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.inner = Inner(function)
        self.last = nn.Linear(64, 4)

    def forward(self, x):
        return self.last(self.inner(x).relu())


class Inner(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.eye(64))
        self.function = [function]

    def forward(self, x):
        return self.function[0].apply(x, self.w)


def matmul(x: Shape, w: Shape) -> Cost:
    return Cost(macs=x[0] * x[1] * w[1])


def matmul_backward(x: Shape, w: Shape, grad: Shape) -> Cost:
    return Cost(macs=2 * x[0] * w[0] * grad[1])


@pytest.mark.parametrize("has_setup", [False, True])
def test_the_formula_of_a_function_counts_it_once_on_its_module(has_setup, tmp_path):
    function = make_function(has_setup=has_setup)
    profiler.formula(function)(matmul)
    p = profiler.count(Net(function), X)
    assert p.uncounted == ()
    assert p.nodes["inner"].own.macs == PRODUCT
    assert p.nodes["inner"].own.other_flops == 0  # the operators inside are not counted as well
    assert p.totals.macs == PRODUCT + 10 * 64 * 4
    assert [row.calls for row in p.operators if "Combined" in row.operator or "Separate" in row.operator] == [1]
    p.save(tmp_path / "p.json")
    assert profiler.load(tmp_path / "p.json") == p


@pytest.mark.parametrize("has_setup", [False, True])
def test_a_formula_of_the_backward_counts_in_the_backward_phase(has_setup):
    function = make_function(has_setup=has_setup)
    profiler.formula(function)(matmul)
    profiler.formula(function, backward=True)(matmul_backward)
    with profiler.profile(model := Net(function)) as p:
        model(X).sum().backward()
    assert p.uncounted == ()
    inner = [e for e in p.entries if e.record.module == "inner"]
    assert sum(e.totals.macs for e in inner if e.record.phase == "forward") == PRODUCT
    assert sum(e.totals.macs for e in inner if e.record.phase == "backward") == 2 * PRODUCT


def test_without_a_formula_of_the_backward_its_operators_count_and_its_kernels_are_listed():
    function = make_function(has_setup=False)
    profiler.formula(function)(matmul)
    with profiler.profile(model := Net(function)) as p:
        model(X.clone().requires_grad_()).sum().backward()
    backward = [e for e in p.entries if e.record.module == "inner" and e.record.phase == "backward"]
    assert sum(e.totals.macs for e in backward) == PRODUCT
    assert [(row.operator, row.shapes) for row in p.uncounted] == [("unseen work", ((64, 64),))]


def test_what_a_checkpoint_runs_again_is_recomputed():
    function = make_function(has_setup=False)
    profiler.formula(function)(matmul)
    inner = Inner(function)

    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=False)

    with profiler.profile(model := Again()) as p:
        model(X.clone().requires_grad_()).sum().backward()
    assert (p.phases["forward"].macs, p.phases["recompute"].macs) == (PRODUCT, PRODUCT)


def test_the_formula_of_a_module_takes_its_arguments_and_its_attributes():
    class Scan(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(64, 3))
            self.steps = 5
            self.inside = nn.Linear(64, 64)

        def forward(self, x, scale=1.0):
            self.inside(x)
            return torch.from_numpy(x.detach().numpy() @ self.weight.detach().numpy()) * scale

    @profiler.formula(Scan)
    def scan(x: Shape, weight: Shape, steps: int, out: Shape) -> Cost:
        return Cost(macs=x[0] * weight[0] * out[1] * steps)

    model = nn.Sequential(nn.ReLU(), Scan())
    p = profiler.count(model, X)
    assert p.uncounted == ()
    assert (p.nodes["1"].own.macs, p.nodes["1"].total.macs) == (10 * 64 * 3 * 5, 10 * 64 * 3 * 5)
    with profiler.profile(model) as twice, profiler.profile(model) as nested:
        model(X)
        model[1](x=X, scale=2.0)
    assert twice.totals.macs == nested.totals.macs == 2 * p.totals.macs


@pytest.mark.parametrize("has_hooks", [False, True])
def test_what_a_module_with_a_formula_writes_to_its_arguments_is_counted_with_it(has_hooks):
    """It returns nothing, and runs while an exception is handled."""

    class Fill(nn.Module):
        def forward(self, x, into):
            into.numpy()[:] = np.tanh(x.numpy())

    class Filled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fill = with_hook(Fill()) if has_hooks else Fill()

        def forward(self, x):
            into = torch.empty(10, 64)
            try:
                int("")
            except ValueError:
                self.fill(x, into)
            return into + 1

    assert [row.operator for row in profiler.count(Filled(), X).uncounted] == ["unseen work"]
    profiler.formula(Fill)(lambda x: Cost(transcendentals=x.elements))
    p = profiler.count(Filled(), X)
    assert (p.uncounted, p.totals.transcendentals) == ((), 640)


def test_data_of_the_host_after_a_module_with_a_formula_is_no_unseen_work():
    class Tanh(nn.Module):
        def forward(self, x):
            return torch.from_numpy(np.tanh(x.numpy()))

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tanh, self.shift = Tanh(), np.ones((10, 64), np.float32)

        def forward(self, x):
            return self.tanh(x) + torch.from_numpy(self.shift * 1)

    profiler.formula(Tanh)(lambda x: Cost(transcendentals=x.elements))
    assert profiler.count(Shifted(), X).uncounted == ()


@pytest.mark.parametrize("has_hooks", [False, True])
def test_a_module_with_a_formula_that_raises_is_not_counted(has_hooks):
    class Fails(nn.Module):
        def forward(self, x):
            raise ArithmeticError

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fails = with_hook(Fails()) if has_hooks else Fails()

        def forward(self, x):
            with suppress(ArithmeticError):
                self.fails(x)
            return x

    profiler.formula(Fails)(lambda x: Cost(macs=x.elements))
    assert profiler.count(Net(), X).macs == 0


def test_the_methods_of_a_function_are_as_before():
    function = make_function(has_setup=True)
    profiler.formula(function)(matmul)
    before = dict(vars(function))
    with profiler.profile(nn.Identity()):
        assert dict(vars(function)) != before
    assert dict(vars(function)) == before


def test_bad_formulas_of_classes_are_refused_in_one_line():
    function = make_function(has_setup=False)
    with pytest.raises(FormulaError, match=r"^the formula of Combined has parameters y; its forward has x, w$"):

        @profiler.formula(function)
        def wrong(y: Shape) -> Cost:
            return Cost()

    with pytest.raises(FormulaError, match=r"^int is no autograd.Function and no nn.Module"):
        profiler.formula(int)(matmul)
    with pytest.raises(FormulaError, match=r"^a module has no backward of its own; register one for the autograd.Func"):
        profiler.formula(nn.Identity, backward=True)(lambda out: Cost())
    profiler.formula(function)(lambda x: 5)
    with pytest.raises(FormulaError, match=r"returned .5.; return a Cost of integers, or None$"):
        profiler.count(Net(function), X)
    for inexact in (
        Cost(macs=1.5),
        Cost(other_flops=2.0),
        Cost(transcendentals="4"),
        Cost(bytes_read=0.5),
        Cost(1.0, 1.0, 1.0),
    ):
        profiler.formula(function)(lambda x, inexact=inexact: inexact)
        with pytest.raises(FormulaError, match=r"return a Cost of integers, or None$"):
            profiler.count(Net(function), X)
    profiler.formula(function)(lambda x: x.rows)
    with pytest.raises(FormulaError, match=r"^the formula of class:\S+Combined raised AttributeError"):
        profiler.count(Net(function), X)


def test_a_subclass_has_the_formula_of_its_base():
    class Base(nn.Module):
        def forward(self, x):
            return torch.from_numpy(np.tanh(x.numpy()))

    class Derived(Base):
        pass

    profiler.formula(Base)(lambda x: Cost(transcendentals=x.elements))
    p = profiler.count(Derived(), X)
    assert (p.totals.transcendentals, p.uncounted) == (640, ())
