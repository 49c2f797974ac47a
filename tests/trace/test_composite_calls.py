"""Composite operators as Python calls them, and the operators that run for them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from profiler.trace.composite_calls import record_composite_calls, tensors_in
from profiler.trace.module_facts import collect_module_facts


class FunctionModule(nn.Module):
    """Calls a function as its forward."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


@dataclass
class Output:
    scores: torch.Tensor
    name: str = "text"


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a):
        return a + a


def composite_calls(model, *args):
    return record_composite_calls(model, lambda: model(*args))


def parts_by_call(model, *args):
    """Map each operator that was called, and how often, to what ran for one call; views are left out."""
    return {
        (call.record.operator, call.record.calls): [(part.operator, part.calls) for part in call.parts]
        for call in composite_calls(model, *args)
        if call.parts
    }


def used(function, *args):
    return {call.record.packet: call.used for call in composite_calls(FunctionModule(function), *args) if call.parts}


def test_a_composite_operator_is_one_call_and_its_parts():
    model = nn.Sequential(nn.Linear(3, 3), nn.AdaptiveAvgPool1d(1))
    assert parts_by_call(model, torch.ones(2, 3)) == {
        ("aten.linear.default", 1): [("aten.addmm.default", 1)],
        ("aten.adaptive_avg_pool1d.default", 1): [("aten.mean.dim", 1)],
    }


def test_equal_calls_are_joined():
    layer = nn.Linear(3, 3)
    assert parts_by_call(nn.Sequential(layer, layer), torch.ones(2, 3)) == {
        ("aten.linear.default", 2): [("aten.addmm.default", 1)],
    }


def test_a_recurrent_cell_is_looked_into():
    operators = [call.record.packet for call in composite_calls(nn.LSTMCell(3, 4), torch.ones(2, 3)) if call.parts]
    assert operators.count("aten.linear") == 2
    assert "aten.lstm_cell" not in operators


def test_attention_in_eval_mode_takes_no_fast_path():
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.no_grad():
        paths = {
            call.record.module
            for call in composite_calls(model, torch.ones(2, 5, 8))
            if call.record.packet == "aten.linear"
        }
    assert paths == {"self_attn", "linear1", "linear2"}


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: (a @ b, a + 1)[1], {"aten.matmul": False, "aten.add": True}),
        (lambda a, b: {"rows": [a @ b, (a - 1,)]}, {"aten.matmul": True, "aten.sub": True}),
        (lambda a, b: (a @ b).mul_(2), {"aten.matmul": True, "aten.mul_": True}),
        (
            lambda a, b: torch.zeros_like(a).copy_(a @ b),
            {"aten.zeros_like": True, "aten.matmul": True, "aten.copy_": True},
        ),
        (lambda a, b: (a @ b).t()[0], {"aten.matmul": True}),
        (lambda a, b: torch._foreach_mul_([a], [a @ b]) or a, {"aten.matmul": True, "aten._foreach_mul_": True}),
    ],
)
def test_a_call_is_used_if_the_output_depends_on_it(function, expected):
    assert used(function, torch.ones(3, 3), torch.ones(3, 3)) == expected


def test_a_freed_tensor_is_not_taken_for_a_later_one():
    def function(a):
        for _ in range(5):
            a.exp()  # freed at once; the next result may lie where it lay
        return a.neg()

    assert used(function, torch.ones(64, 64)) == {"aten.exp": False, "aten.neg": True}


def test_what_a_custom_function_calls_has_its_name():
    functions = {
        call.record.packet: call.function
        for call in composite_calls(FunctionModule(lambda a: Doubled.apply(a) * 2), torch.ones(3))
    }
    assert functions == {"aten.add": "Doubled", "aten.mul": ""}


def test_statistics_and_random_state_are_put_back():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()).train()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    assert composite_calls(model, torch.ones(4, 3))
    assert torch.equal(torch.rand(2), expected)
    assert int(model[0].num_batches_tracked) == 0
    assert torch.equal(model[0].running_mean, torch.zeros(3))


def test_no_hook_and_no_mode_is_left_after_an_error():
    def fails(a):
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"):
        composite_calls(FunctionModule(fails), torch.ones(1))
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    assert not nn.modules.module._global_forward_hooks
    assert (torch.ones(1, requires_grad=True) * 2).requires_grad


def test_a_model_that_asks_autograd_has_facts_without_them():
    def force(x):
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            return torch.autograd.grad((x * x).sum(), x)[0]

    model = FunctionModule(force)
    (facts,) = collect_module_facts(model, lambda: model(torch.ones(3)))
    assert facts.composite_calls == ()
    assert len(facts.calls) == 1


def test_tensors_are_found_in_mappings_lists_and_dataclasses():
    a, b, c = torch.ones(1), torch.ones(2), torch.ones(3)
    assert list(tensors_in((Output(a), {"x": [b, None]}, (c, "text")))) == [a, b, c]
