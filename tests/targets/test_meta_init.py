"""Construction on meta: which tensors are redirected, and what stays the same."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from profiler.errors import InputError
from profiler.targets import build, resolve
from profiler.targets.meta_init import construct_on_meta, to_meta

MIB = 2**20


class Allocations(TorchDispatchMode):
    """Sums the bytes of every CPU tensor that an operator returns; views are counted again, so it is an upper bound.

    Fails at a gigabyte, so that a broken test does not exhaust the machine's memory.
    """

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **kwargs or {})
        self.bytes += sum(t.nbytes for t in tree_leaves(result) if isinstance(t, torch.Tensor) and not t.is_meta)
        assert self.bytes < 1024 * MIB
        return result


class Tied(nn.Module):
    """Two modules that share one parameter, which is created with values."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.a.weight = nn.Parameter(torch.zeros(4, 4))
        self.b.weight = self.a.weight


class Peeks(nn.Module):
    """Reads a value of a tensor that it allocated uninitialised."""

    def __init__(self):
        super().__init__()
        scale = torch.empty(1).fill_(3.0).item()
        self.linear = nn.Linear(int(scale), 2)


class Copies(nn.Module):
    """Copies an uninitialised tensor into one with values, for which meta has an error message of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3).copy_(torch.empty(3).fill_(1.0)))


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4096, 4096) * 0.02)


def everything(module):
    return [*module.parameters(), *module.buffers()]


# Published counts, torchvision's weights.meta["num_params"].
@pytest.mark.parametrize(
    ("name", "params"), [("regnet_y_400mf", 4_344_144), ("swin_t", 28_288_354), ("swin_v2_t", 28_351_570)]
)
def test_models_that_compute_while_they_are_built_are_built_on_meta(name, params):
    module = build(resolve(name), device="meta")
    assert all(tensor.is_meta for tensor in everything(module))
    assert sum(p.numel() for p in module.parameters()) == params


def test_a_model_of_405_billion_parameters_allocates_next_to_nothing():
    target = resolve("hf:llama-3.1-405b")
    with Allocations() as allocations:
        module = build(target, device="meta")
    assert sum(p.numel() for p in module.parameters()) == 405_853_388_800
    # 253 norms of 16,384 ones are 16 MiB, and each is counted again when it is filled
    assert allocations.bytes < 64 * MIB


def test_the_bound_itself_sees_a_real_model():
    with Allocations() as allocations:
        build(resolve("resnet18"), device="cpu")
    assert allocations.bytes >= 4 * 11_689_512


def test_very_large_parameters_made_with_values_are_not_allocated():
    with Allocations() as allocations:
        module = construct_on_meta(Large)
    assert module.weight.is_meta
    assert allocations.bytes == 0


@pytest.mark.parametrize("factory", [Peeks, Copies])
def test_a_constructor_that_looks_into_its_parameters_is_built_for_real_and_then_moved(factory):
    assert all(tensor.is_meta for tensor in everything(construct_on_meta(factory)))


def test_an_error_of_the_constructor_is_its_own_and_comes_once():
    calls = []

    def fails():
        calls.append(1)
        msg = "no such layer"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no such layer"):
        construct_on_meta(fails)
    assert len(calls) == 1


def test_tied_weights_stay_tied():
    module = to_meta(Tied())
    assert module.a.weight is module.b.weight
    assert len(list(module.parameters())) == 3


def test_views_of_one_storage_stay_views_of_one():
    module = nn.Module()
    whole = torch.arange(12.0)
    module.register_buffer("whole", whole)
    module.register_buffer("columns", whole.view(3, 4).t())
    to_meta(module)
    assert module.columns.shape == (4, 3)
    assert module.columns.stride() == (1, 4)
    assert module.columns.untyped_storage()._cdata == module.whole.untyped_storage()._cdata


def test_what_is_trainable_stays_trainable():
    module = nn.Linear(2, 2)
    module.weight.requires_grad_(requires_grad=False)
    to_meta(module)
    assert [p.requires_grad for p in module.parameters()] == [False, True]
    assert all(isinstance(p, nn.Parameter) for p in module.parameters())


def test_a_scripted_module_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Linear(2, 2))
    with pytest.raises(InputError, match="a scripted module cannot be moved to meta"):
        to_meta(scripted)
