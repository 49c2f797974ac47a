"""A sparse tensor has no storage of its own: its indices and values are what is held."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")

ROWS = torch.tensor([0, 2, 5])
VALUES = torch.ones(3)


def coo():
    return torch.sparse_coo_tensor(torch.stack([ROWS, ROWS]), VALUES.clone(), (8, 8), check_invariants=True)


def csr():
    starts = torch.tensor([0, 1, 1, 2, 2, 2, 3, 3, 3])
    return torch.sparse_csr_tensor(starts, ROWS.clone(), VALUES.clone(), (8, 8))


def csc():
    starts = torch.tensor([0, 1, 1, 2, 2, 2, 3, 3, 3])
    return torch.sparse_csc_tensor(starts, ROWS.clone(), VALUES.clone(), (8, 8))


#: The indices are int64, the values float32.
HELD = {coo: 2 * 3 * 8 + 3 * 4, csr: (9 + 3) * 8 + 3 * 4, csc: (9 + 3) * 8 + 3 * 4}


class Sparse(nn.Module):
    def __init__(self, weight) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x):
        return self.weight @ x


@pytest.mark.parametrize("make", HELD)
def test_a_sparse_parameter_holds_its_indices_and_values(make):
    p = profiler.count(Sparse(make()), torch.ones(8, 4))
    assert p.totals.peak_memory["parameter"] == HELD[make]
    assert p.totals.peak_memory["input"] == 8 * 4 * 4
    assert p.totals.macs == 3 * 4


@pytest.mark.parametrize("make", HELD)
def test_a_sparse_input_and_a_sparse_result_are_held(make):
    class Twice(nn.Module):
        def forward(self, x):
            return x * 2

    p = profiler.count(Twice(), make())
    assert p.totals.peak_memory["input"] == HELD[make]
    # whether the result has indices of its own is for torch to say; it has values
    assert 3 * 4 <= p.totals.peak_memory["temporary"] <= HELD[make] + 3 * 8


def test_a_sparse_intermediate_is_freed_with_its_last_use():
    class ToSparse(nn.Module):
        def forward(self, x):
            kept = x.to_sparse()
            size = kept._indices().nbytes + kept._values().nbytes
            del kept
            return torch.zeros(size // 4 - 1)

    x = torch.ones(40, 8)
    p = profiler.count(ToSparse(), x)
    held = 40 * 8 * (2 * 8 + 4)
    assert p.totals.peak_memory["temporary"] >= held
    assert p.totals.peak_memory["temporary"] < 2 * held - 4


@pytest.mark.parametrize("passes", [1, 2])
def test_a_sparse_gradient_is_a_gradient(passes):
    model = nn.Embedding(100, 8, sparse=True)
    with profiler.profile(model) as p:
        for _ in range(passes):
            model(torch.tensor([1, 2, 3])).sum().backward()
    assert p.memory.peak.bytes["parameter"] == 100 * 8 * 4
    assert p.memory.peak.bytes["gradient"] >= 3 * 8 * 4  # its indices may share memory with the input
    # while two are added, they and their sum are held
    assert p.memory.peak.bytes["gradient"] <= (2 * passes - 1) * (3 * 8 * 4 + 3 * 8)


def test_the_bytes_of_parameters_include_sparse_indices():
    p = profiler.count(Sparse(csr()), torch.ones(8, 4))
    assert p.param_bytes == HELD[csr]
