"""Kernels that are no operators: their results are found where they come to an operator, and nothing else is."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import profiler

X = torch.linspace(-1, 1, 40).reshape(10, 4)


class Calls(nn.Module):
    """Calls a function of its input and of its weight, and then a layer."""

    def __init__(self, function) -> None:
        super().__init__()
        self.inner = Inner(function)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.inner(x))


class Inner(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.eye(4))
        self.register_buffer("table", torch.ones(4))
        self.plain = torch.from_numpy(np.ones(4, np.float32))
        self.host = np.ones((10, 4), np.float32)

    def forward(self, x):
        return self.function(self, x)


def address(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def numpy_result(self, x):
    return torch.from_numpy(x.detach().numpy() @ self.weight.detach().numpy())


def as_tensor(self, x):
    return torch.as_tensor(np.tanh(x.detach().numpy()))


def copied_by_torch_tensor(self, x):
    return torch.tensor(np.tanh(np.asarray(x.detach())))


def taken_over_without_a_copy(self, x):
    return torch.frombuffer(bytearray((x.detach().numpy() * 2).tobytes()), dtype=torch.float32).reshape(10, 4)


def by_dlpack(self, x):
    return torch.from_dlpack(np.from_dlpack(x.detach()) * 2)


def written_to_an_empty_buffer(self, x):
    out = torch.empty_like(x)
    ctypes.memmove(address(out), address(x), 160)
    return out


def written_to_an_empty_buffer_and_added_to(self, x):
    return written_to_an_empty_buffer(self, x).add_(1)


def written_to_zeros(self, x):
    out = torch.zeros(10, 4)
    ctypes.memmove(address(out), address(x), 160)
    return out


def written_in_place(self, x):
    out = x.clone()
    ctypes.memset(address(out), 1, 160)
    return out


def written_in_place_by_numpy(self, x):
    out = x.clone()
    values = out.detach().numpy()
    np.maximum(values, 0, out=values)
    return out


def taken_back_after_a_change(self, x):
    values = x.detach().clone().numpy()
    values += 1
    return torch.from_numpy(values)


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return torch.from_numpy(x.detach().numpy() @ weight.detach().numpy())

    @staticmethod
    def backward(ctx, grad):
        x, weight = (tensor.numpy() for tensor in ctx.saved_tensors)
        return torch.from_numpy(grad.numpy() @ weight.T), torch.from_numpy(x.T @ grad.numpy())


def function(self, x):
    return Function.apply(x, self.weight)


def in_another_thread(self, x):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(numpy_result, self, x).result()


UNSEEN = [
    numpy_result, as_tensor, copied_by_torch_tensor, taken_over_without_a_copy, by_dlpack, written_to_an_empty_buffer,
    written_to_an_empty_buffer_and_added_to, written_to_zeros, written_in_place, written_in_place_by_numpy,
    taken_back_after_a_change, function, in_another_thread,
]  # fmt: skip


@pytest.mark.parametrize("kernel", UNSEEN)
@pytest.mark.parametrize("is_last", [False, True])
def test_a_kernel_that_is_no_operator_is_listed(kernel, is_last):
    model = Calls(kernel)
    if is_last:
        model.last = nn.Identity()
    p = profiler.count(model, X)
    assert not p.is_complete
    (row,) = p.uncounted
    assert (row.operator, row.module, row.shapes, row.calls) == ("unseen work", "inner", ((10, 4),), 1)
    assert p.nodes["inner"].own.uncounted == 1
    assert p.totals.macs == (0 if is_last else 10 * 4 * 2)


def test_a_backward_kernel_is_listed_too():
    model = Calls(function)
    x = X.clone().requires_grad_()
    with profiler.profile(model) as p:
        model(x).sum().backward()
    rows = {(row.module, row.shapes): row.calls for row in p.uncounted}
    assert rows == {("inner", ((10, 4),)): 2, ("inner", ((4, 4),)): 1}
    assert {phase: totals.uncounted for phase, totals in p.phases.items()} == {
        "forward": 1, "backward": 2, "recompute": 0, "optimizer": 0,
    }  # fmt: skip


@pytest.mark.parametrize("compute", [lambda x: x.relu(), torch.zeros_like])
def test_memory_that_is_filled_on_meta_is_no_unseen_work(compute):
    def inner(self, x):
        out = torch.empty_like(x)
        return out.copy_(compute(x))

    assert profiler.count(Calls(inner).to("meta"), X.to("meta")).is_complete


def test_the_address_of_a_tensor_on_meta_hands_nothing_out():
    def inner(self, x):
        x.data_ptr()
        return x * torch.from_numpy(self.host).to(x.device)

    assert profiler.count(Calls(inner).to("meta"), X.to("meta")).uncounted == ()


def constant(self, x):
    return x * torch.tensor([1.0, 2.0, 3.0, 4.0])


def constant_of_numpy(self, x):
    return x * torch.from_numpy(np.arange(4, dtype=np.float32))


def host_data(self, x):
    return x + torch.from_numpy(self.host) + self.plain


def host_data_by_index(self, x):
    rows = torch.arange(10).numpy()
    return x + torch.from_numpy(self.host[rows])


def logged(self, x):
    self.seen = float(x.detach().numpy().mean())
    return x * torch.tensor([1.0, 2.0, 3.0, 4.0]) + self.plain


def a_single_number(self, x):
    scale = x.detach().mean().numpy()
    return x * torch.from_numpy(self.host) * float(scale)


def round_trip(self, x):
    return torch.from_numpy(x.detach().numpy())


def same_memory(self, x):
    return x + 1 if x.data_ptr() == x.view(40).data_ptr() else x


def weights_flattened(self, x):
    return x * self.weight.data_ptr() * self.table.numpy().sum()


def random(self, x):
    return x + torch.empty_like(x).normal_() * torch.empty(10, 4).bernoulli_(0.5)


def out_variant(self, x):
    out = torch.empty(10, 4)
    torch.add(x.detach(), 1, out=out)
    return out


def parts(self, x):
    out = x.new_empty(10, 4)
    out[:5], out[5:] = x[:5], 0
    return out


def zeros(self, x):
    return torch.cat([x[:5], torch.zeros(5, 4)]) + x.new_zeros(10, 4).index_add_(0, torch.arange(10), x)


def nothing(self, x):
    return torch.cat([x, torch.empty(0, 4), torch.from_numpy(np.empty((0, 4), np.float32))])


def nothing_of_what_was_handed_out(self, x):
    values = x.detach().numpy()[:0]
    return torch.cat([x, torch.from_dlpack(values.copy()), torch.from_numpy(values * 2)])


def shapes_alone(self, x):
    return x + torch.ones_like(torch.empty(10, 4)) + torch.zeros_like(torch.empty_like(x))


def new_layer(self, x):
    self.layer = torch.nn.utils.skip_init(nn.Linear, 4, 4)
    return self.layer(nn.Linear(4, 4)(x))


def dropout(self, x):
    return nn.functional.dropout(x, 0.5, training=True)


SEEN = [
    constant, constant_of_numpy, host_data, host_data_by_index, logged, a_single_number, round_trip, same_memory,
    weights_flattened, random, out_variant, parts, zeros, nothing, nothing_of_what_was_handed_out, shapes_alone,
    new_layer, dropout,
]  # fmt: skip


@pytest.mark.parametrize("kernel", SEEN)
@pytest.mark.parametrize("train", [False, True])
def test_what_operators_made_or_the_user_gave_is_no_unseen_work(kernel, train):
    model = Calls(kernel)
    x = X.clone().requires_grad_(train)
    for _ in range(2):
        with profiler.profile(model) as p, torch.set_grad_enabled(train):
            out = model(x)
            if train:
                out.sum().backward()
        assert p.uncounted == ()


def test_what_runs_outside_of_the_model_is_no_unseen_work():
    model = nn.Linear(4, 2)
    with profiler.profile(model) as p:
        for _ in range(2):
            x = torch.from_numpy(np.ones((3, 4), np.float32))
            scores = model(x).detach().numpy()
            model(torch.empty(3, 4)) + torch.from_numpy(scores * 2)
    assert p.uncounted == ()


def test_the_methods_of_tensors_are_as_before():
    names = ("numpy", "data_ptr", "__dlpack__")
    before = [(name, vars(torch.Tensor).get(name)) for name in names]
    with profiler.profile(nn.Linear(4, 2)), profiler.profile(nn.Linear(4, 2)):
        assert torch.Tensor.numpy is not before[0][1]
    assert [(name, vars(torch.Tensor).get(name)) for name in names] == before
