"""What ``count`` and ``count_step`` change of a model, its optimizer and the random generators: nothing."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn

import profiler

X = torch.arange(6.0).reshape(2, 3)


class Changes(nn.Module):
    """Changes everything that a forward can change."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.moved = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("cache", None, persistent=False)
        self.lazy = nn.LazyLinear(2)
        self.norm = nn.LazyBatchNorm1d()
        self.child = nn.Linear(3, 3)
        self.shift = torch.zeros(3)
        self.steps, self.history, self.table = 0, [], {"calls": {"n": 0}}
        self.generator = torch.Generator().manual_seed(3)
        self.python, self.numpy = random.Random(3), np.random.default_rng(3)  # noqa: S311

    def forward(self, x):
        self.mean = 0.9 * self.mean + x.mean().detach()
        self.total.add_(x.detach().sum(0))
        self.cache = x
        self.register_buffer("seen", torch.ones(1))
        self.shift += 1
        self.shift, self.steps, self.note = self.shift * 2, self.steps + 1, "called"
        self.history.append(x.shape)
        self.table["calls"]["n"] += 1
        self.added = nn.Linear(3, 1)
        del self._modules["added"]
        self.register_module("late", nn.Identity())
        self.child.weight.requires_grad_(False)
        self.child.train(not self.child.training)
        self.child.register_forward_hook(lambda *_: None)
        self.child.extra = nn.Parameter(torch.ones(1))
        with torch.no_grad():
            self.weight.mul_(0.5)
            self.moved.data = torch.full((3,), 7.0)
        random.random(), self.python.random()  # noqa: S311
        np.random.rand(), self.numpy.random()  # noqa: NPY002
        noise = torch.rand(3) + torch.rand(3, generator=self.generator)
        return self.norm(self.lazy(self.child(x * self.weight + self.moved) + noise))


def value_of(item: object) -> object:  # noqa: PLR0911 - one for each kind
    """Return an attribute in a form that can be compared, by a road of its own."""
    if isinstance(item, torch.Tensor):
        shape = "lazy" if nn.parameter.is_lazy(item) else item.tolist()
        return type(item).__name__, shape, item.requires_grad
    if isinstance(item, torch.Generator):
        return item.get_state().tolist()
    if isinstance(item, random.Random):
        return item.getstate()
    if isinstance(item, np.random.Generator):
        return str(item.bit_generator.state)
    if isinstance(item, dict):
        return [(key, value_of(value)) for key, value in item.items()]
    if isinstance(item, nn.Module):
        return state(item)
    return id(item) if callable(item) else repr(item)


def state(module: nn.Module) -> tuple[object, ...]:
    return type(module).__name__, {name: value_of(item) for name, item in vars(module).items()}


def generators() -> tuple[object, ...]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()


RUNS = {
    "count": lambda model: profiler.count(model, X),
    "count_step": lambda model: profiler.count_step(model, X, loss=lambda y: y.square().sum() + model.weight.sum()),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_model_changes(run, training):
    model = Changes().train(training)
    before, random_before, keys = state(model), generators(), list(model.state_dict())
    run(model)
    assert state(model) == before
    assert generators() == random_before
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_a_lazy_model_can_run_afterwards_and_its_parameters_are_counted(run):
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    profile = run(type("Holder", (nn.Sequential,), {"weight": torch.zeros(1, requires_grad=True)})(*model))
    assert profile.totals.params == 3 * 4 + 4 + 8
    assert isinstance(model[0], nn.LazyLinear)
    assert model(torch.ones(5, 7)).shape == (5, 4)
    assert model[0].in_features == 7


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("where", ["forward", "hook", "backward"])
def test_nothing_changes_if_it_raises(where, error):
    def fail(*_):
        raise error

    model = Changes()
    if where == "forward":
        model.norm.forward = fail
    elif where == "hook":
        model.norm.register_forward_hook(fail)
    else:
        model.weight.register_hook(fail)
    before, random_before = state(model), generators()
    expected = profiler.errors.ModelError if isinstance(error, Exception) else type(error)
    with pytest.raises(expected):
        RUNS["count_step"](model)
    assert state(model) == before
    assert generators() == random_before


def test_a_parameter_that_its_forward_overwrites_has_its_values_back():
    class Clipped(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                self.weight.clamp_(-0.01, 0.01)
                torch._foreach_mul_([self.bias], 0.0)
            return super().forward(x)

    model = Clipped(3, 2)
    weight, bias = model.weight.tolist(), model.bias.tolist()
    profiler.count(model, X)
    assert (model.weight.tolist(), model.bias.tolist()) == (weight, bias)


@pytest.mark.parametrize("before", [True, False])
def test_a_parameter_that_its_forward_freezes_or_trains_is_as_before(before):
    class Switches(nn.Linear):
        def forward(self, x):
            self.weight.requires_grad_(not self.weight.requires_grad)
            return super().forward(x)

    model = Switches(3, 2)
    model.weight.requires_grad_(before)
    profiler.count(model, X)
    assert model.weight.requires_grad is before


def test_an_optimizer_keeps_its_own_tensors_and_settings():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), amsgrad=True)
    model(X).sum().backward()
    optimizer.step()
    tensors = dict(optimizer.state[model.weight])
    values = {name: value.tolist() for name, value in tensors.items()}
    weight, grad, own = model.weight.tolist(), model.weight.grad, model.weight.grad.tolist()
    settings = pickle.dumps([{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups])
    profiler.count_step(model, X, optimizer=optimizer)
    assert all(optimizer.state[model.weight][name] is tensor for name, tensor in tensors.items())
    assert {name: value.tolist() for name, value in tensors.items()} == values
    assert (model.weight.tolist(), model.weight.grad is grad, grad.tolist()) == (weight, True, own)
    assert pickle.dumps([{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]) == settings


def test_an_optimizer_whose_kernel_is_no_operator_leaves_the_parameters_as_they_were():
    class Foreign(torch.optim.SGD):
        def step(self, closure=None):
            for parameter in self.param_groups[0]["params"]:
                parameter.detach().numpy()[:] -= 1

    model = nn.Linear(3, 2)
    before = model.weight.tolist(), model.bias.tolist()
    profiler.count_step(model, X, optimizer=Foreign(model.parameters(), lr=1.0))
    assert (model.weight.tolist(), model.bias.tolist()) == before


def test_a_first_step_leaves_the_optimizer_without_state():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    profiler.count_step(model, X, optimizer=optimizer)
    assert not optimizer.state


def test_a_graph_made_before_can_still_run_backward():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    loss = model(X).sum()
    profiler.count(model, X)
    profiler.count_step(model, X, optimizer=torch.optim.SGD(model.parameters(), lr=1.0))
    loss.backward()
    assert model[0].weight.grad is not None


@pytest.mark.parametrize("holds_base", [True, False])
def test_a_buffer_that_repeats_its_elements_is_restored(holds_base):
    class Repeats(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            base = torch.zeros(1, 3)
            self.base = base if holds_base else None
            self.register_buffer("wide", base.expand(4, 3))

        def forward(self, x):
            self.wide[0].add_(1)
            return x + self.wide[:2]

    model = Repeats()
    profiler.count(model, X)
    assert model.wide.tolist() == [[0.0] * 3] * 4


@pytest.mark.parametrize(
    "change", [lambda table: table.mul_(2), lambda table: table.add_(torch.ones(3, 3).to_sparse())]
)
def test_a_sparse_buffer_is_restored(change):
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.eye(3).to_sparse())

        def forward(self, x):
            change(self.table)
            return x

    model = Sparse()
    profiler.count(model, X)
    assert model.table.to_dense().tolist() == torch.eye(3).tolist()


def test_a_sparse_gradient_is_restored():
    model, rows = nn.Embedding(4, 2, sparse=True), torch.tensor([1, 3])
    model(rows).sum().backward()
    before = model.weight.grad.to_dense().tolist()
    profiler.count_step(model, rows, optimizer=torch.optim.SGD(model.parameters(), lr=1.0))
    assert model.weight.grad.to_dense().tolist() == before


def test_a_model_made_in_inference_mode_can_be_counted_outside():
    with torch.inference_mode():
        model = nn.BatchNorm1d(3)
    before = model.running_mean.tolist()
    with torch.inference_mode():
        profiler.count(model, X)
    assert model.running_mean.tolist() == before


def test_what_copies_the_state_is_not_counted_by_a_profile_around_it():
    model = nn.BatchNorm1d(3)
    with profiler.profile(model) as bare:
        model.eval()(X)
    with profiler.profile(model) as around, torch.no_grad():
        profiler.count(model, X)
    assert {e.record.packet for e in around.entries} == {e.record.packet for e in bare.entries}
    assert around.totals.bytes_read == bare.totals.bytes_read


def test_two_references_to_one_buffer_stay_one():
    model = nn.Module()
    model.a, model.b = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model.b.running_mean = model.a.running_mean
    model.forward = lambda x: model.b(model.a(x))
    profiler.count(model, X)
    assert model.b.running_mean is model.a.running_mean
    assert model.a.running_mean.tolist() == [0.0] * 3


class Renormalized(nn.Module):
    """Overwrites two weights in its forward, and has a learned mask, so that a comparison runs it once more."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4, max_norm=0.1)
        self.scale = nn.Parameter(torch.ones(4))
        self.mask = nn.Parameter(torch.zeros(4, 4))

    def forward(self, indices):
        with torch.no_grad():
            self.scale.mul_(2)
        x = self.words(indices)[None, None] * self.scale
        return nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)


def compared(model, x):
    """Compare with a counter after a call of the user's own, which leaves its mark."""
    with torch.no_grad(), profiler.profile(model) as p:
        model(x)
    values = {name: value.clone() for name, value in model.state_dict().items()}
    p.compare("flop_counter")
    return values


@pytest.mark.parametrize(
    "call",
    [
        profiler.count,
        lambda model, x: profiler.measure(model, x, runs=1, warm=0),
        lambda model, x: profiler.compat.fvcore.FlopCountAnalysis(model, x).total(),
        compared,
    ],
    ids=["count", "measure", "compat.fvcore", "compare"],
)
def test_parameters_that_the_forward_overwrites_have_their_values_back(call):
    model = Renormalized()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = call(model, torch.tensor([1, 2, 3, 4]))
    before = result if call is compared else before
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
