"""The module that work is attributed to, in unclear cases."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
import torch
from torch import nn

import profiler

X = torch.ones(2, 4)


def macs_by_path(profile) -> dict[str, int]:
    return {path: node.own.macs for path, node in profile.nodes.items() if node.own.macs}


def calls(profile) -> dict[str, int]:
    return {module.path: module.calls for module in profile.modules if module.calls}


class FunctionModule(nn.Module):
    """Calls ``forward(module, x)``, a function that it is given, as its forward."""

    def __init__(self, forward, **children) -> None:
        super().__init__()
        self._run = forward
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, x):
        return self._run(self, x)


def test_work_belongs_to_the_module_whose_forward_ran_it():
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 3)))
    p = profiler.count(model, X)
    assert macs_by_path(p) == {"0": 2 * 4 * 8, "1.0": 2 * 8 * 3}


def test_a_module_called_many_times_has_all_its_calls():
    model = FunctionModule(lambda m, x: m.a(m.a(m.a(x))), a=nn.Linear(4, 4))
    p = profiler.count(model, X)
    assert calls(p)["a"] == 3
    assert macs_by_path(p) == {"a": 3 * 2 * 16}


def test_a_shared_module_is_at_the_name_under_the_module_that_calls_it():
    shared = nn.Linear(4, 4)
    left, right = (FunctionModule(lambda m, x: m.inner(x), inner=shared) for _ in range(2))
    p = profiler.count(FunctionModule(lambda m, x: m.right(m.left(m.left(x))), left=left, right=right), X)
    assert macs_by_path(p) == {"left.inner": 64, "right.inner": 32}


def test_two_names_under_one_parent_are_the_first_of_them():
    shared = nn.Linear(4, 4)
    p = profiler.count(FunctionModule(lambda m, x: m.b(x), a=shared, b=shared), X)
    assert macs_by_path(p) == {"a": 32}


def test_a_shared_module_counts_its_parameters_once():
    shared = nn.Linear(4, 4)
    p = profiler.count(FunctionModule(lambda m, x: m.b(m.a(x)), a=shared, b=shared), X)
    assert p.totals.params == 20


def test_calling_forward_directly_gives_the_work_to_the_caller():
    p = profiler.count(FunctionModule(lambda m, x: m.a.forward(x), a=nn.Linear(4, 4)), X)
    assert macs_by_path(p) == {"": 32}
    assert calls(p) == {"": 1}


def test_modules_in_a_plain_list_work_for_their_caller():
    model = FunctionModule(lambda m, x: m.hidden[0](x))
    model.hidden = [nn.Linear(4, 4)]
    p = profiler.count(model, X)
    assert macs_by_path(p) == {"": 32}
    assert p.totals.params == 0


def test_modules_in_a_module_list_have_rows_of_their_own():
    layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    p = profiler.count(FunctionModule(lambda m, x: m.layers[1](m.layers[0](x)), layers=layers), X)
    assert macs_by_path(p) == {"layers.0": 32, "layers.1": 32}


def test_work_outside_the_model_has_a_row_of_its_own():
    model = nn.Linear(4, 4)
    with profiler.profile(model) as p:
        model(X) @ torch.ones(4, 5)
    assert macs_by_path(p) == {"": 32, "(outside)": 40}
    assert p.totals.macs == 72


def test_a_block_without_a_model_counts_operators_alone():
    with profiler.profile() as p:
        torch.ones(2, 3) @ torch.ones(3, 4)
    assert p.totals.macs == 24


def test_a_module_made_during_the_forward_works_for_its_caller():
    p = profiler.count(FunctionModule(lambda m, x: nn.Linear(4, 4)(x)), X)
    assert macs_by_path(p) == {"": 32}


def test_an_exception_caught_in_the_model_leaves_the_next_work_at_home():
    def attempt(m, x):
        try:
            m.bad(x)
        except RuntimeError:
            return m.good(x) @ torch.ones(4, 1)

    bad = FunctionModule(lambda m, x: m.inner(x), inner=nn.Linear(5, 5))
    p = profiler.count(FunctionModule(attempt, bad=bad, good=nn.Linear(4, 4)), X)
    assert macs_by_path(p) == {"good": 32, "": 8}


def test_a_pre_hook_works_for_its_module_and_a_hook_for_its_caller():
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].register_forward_pre_hook(lambda m, args: (args[0] @ torch.eye(4),))
    model[0].register_forward_hook(lambda m, args, out: out @ torch.eye(4))
    assert macs_by_path(profiler.count(model, X)) == {"0": 2 * 32, "": 32}


def test_a_module_that_calls_itself_keeps_one_row():
    def recurse(m, x):
        return m.a(x) if x.shape[0] == 1 else m(x[:1])

    p = profiler.count(FunctionModule(recurse, a=nn.Linear(4, 4)), X)
    assert calls(p) == {"": 2, "a": 1}


def test_inputs_are_named_as_forward_names_them():
    p = profiler.count(nn.MultiheadAttention(4, 2), X, key=X, value=X)
    assert [name for name, _ in p.inputs] == ["query", "key", "value"]


def test_the_first_output_shape_is_kept():
    p = profiler.count(nn.Sequential(nn.Linear(4, 7)), X)
    assert p.nodes["0"].module.outputs == ((2, 7),)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_a_nested_tensor_has_no_shape(layout):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        nested = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)], layout=layout)
    p = profiler.count(nn.Sequential(nn.Linear(4, 7)), nested)
    assert (p.nodes["0"].module.inputs, p.nodes["0"].module.outputs) == ((), ())
    assert p.totals.macs == 5 * 4 * 7


@pytest.mark.parametrize("wrap", [torch.jit.script, lambda m: torch.jit.trace(m, X)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_module_is_one_row_with_all_its_operators(wrap):
    model = wrap(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    p = profiler.count(model, X)
    assert macs_by_path(p) == {"": 2 * (32 + 16)}


def test_every_record_is_at_a_module_of_the_tree():
    model = nn.TransformerEncoderLayer(8, 2, 16)
    p = profiler.count(model, torch.ones(3, 2, 8))
    paths = Counter(m.path for m in p.modules)
    assert all(entry.record.module in paths for entry in p.entries)


def test_the_shapes_of_a_modules_first_arguments_are_in_its_profile():
    class Scaled(nn.Module):
        def forward(self, x, *, scales):
            return x * scales["by"]

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.scaled = nn.Linear(4, 6), Scaled()

        def forward(self, x):
            y = self.layer(x)
            self.layer(x[0])
            return self.scaled(y, scales={"by": y.sum(0)})

    modules = {m.path: m for m in profiler.count(Holder(), torch.ones(3, 4)).modules}
    assert modules["layer"].inputs == ((3, 4),)
    assert modules["scaled"].inputs == ((3, 6), (6,))
    assert modules[""].inputs == ((3, 4),)
