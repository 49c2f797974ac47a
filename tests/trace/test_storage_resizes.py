"""Storages that change their size in place, without an operator."""

from __future__ import annotations

import torch
from torch import nn

import profiler

N = 1000
BYTES = 4 * N


def resize(tensor, size):
    tensor.untyped_storage().resize_(size)


def test_a_storage_resized_to_zero_is_freed():
    with profiler.profile() as p:
        a = torch.ones(N)
        resize(a, 0)
        b = torch.ones(N)
    del b
    assert p.memory.peak.total == BYTES


def test_a_storage_that_grows_again_is_allocated_again():
    with profiler.profile() as p:
        a = torch.ones(N)
        resize(a, 0)
        b = torch.ones(N)
        resize(a, 2 * BYTES)
    del b
    assert p.memory.peak.total == 3 * BYTES
    assert p.memory.peak.operator == "UntypedStorage.resize_"


def test_a_storage_resized_by_a_typed_storage_or_an_operator_is_seen():
    with profiler.profile() as p, torch.no_grad():
        a = torch.ones(N)
        a._typed_storage()._resize_(0)
        b = torch.ones(N)
        b.resize_(3 * N)
    assert p.memory.peak.total == 3 * BYTES


def test_a_tensor_set_to_another_storage_releases_its_own():
    with profiler.profile() as p:
        a, b = torch.ones(N), torch.ones(N)
        a.set_(b)
        c = torch.ones(N)
    del b, c
    assert p.memory.peak.total == 2 * BYTES


def test_a_parameter_keeps_its_category_through_a_resize():
    model = nn.Linear(N, 1, bias=False)
    with profiler.profile(model) as p:
        resize(model.weight, 0)
        resize(model.weight, BYTES)
        model.weight.data.fill_(1)
        model(torch.ones(1, N))
    assert p.memory.peak.bytes["parameter"] == BYTES
    assert p.memory.peak.bytes["temporary"] < BYTES


def test_a_parameter_set_to_another_storage_is_still_a_parameter():
    model, old = nn.Linear(N, 1, bias=False), []
    with profiler.profile(model) as p:
        old.append(model.weight.data)
        model.weight.data = torch.ones(1, N)
        model(torch.ones(1, N)).sum().backward()
    assert p.memory.phases["backward"].bytes["parameter"] == 2 * BYTES


def test_nested_profiles_leave_the_storage_class_as_it_was():
    before = torch.UntypedStorage.resize_
    with profiler.profile() as outer:
        with profiler.profile() as inner:
            a = torch.ones(N)
            resize(a, 0)
        b = torch.ones(N)
    del b
    assert (outer.memory.peak.total, inner.memory.peak.total) == (BYTES, BYTES)
    assert torch.UntypedStorage.resize_ is before
    assert "resize_" not in vars(torch.UntypedStorage)
