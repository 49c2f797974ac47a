"""Scatter and index operators: one operation per source element."""

from __future__ import annotations

import pytest
import torch
from formulas.scalar_operations import count_flops, counts, entry
from torch.nn import functional

aten = torch.ops.aten
INDEX = torch.tensor([[0, 1, 1, 2], [2, 2, 0, 1], [1, 1, 1, 1]])
SOURCE = torch.rand(3, 4)
PLACES = torch.tensor([0, 2, 2])


def zeros():
    return torch.zeros(6, 4)


@pytest.mark.parametrize(
    ("run", "flops"),
    [
        (lambda: zeros().scatter_add(0, INDEX, SOURCE), 12),
        (lambda: zeros().scatter(0, INDEX, SOURCE, reduce="multiply"), 12),
        (lambda: zeros().scatter(0, INDEX, 2.0, reduce="add"), 12),
        (lambda: zeros().scatter(0, INDEX, SOURCE), 0),
        (lambda: zeros().scatter_reduce(0, INDEX, SOURCE, "amax"), 12),
        (lambda: zeros().scatter_reduce(0, INDEX, SOURCE, "mean"), 12 + 12 + 24),  # adds, sources per result, divides
        (lambda: zeros().index_add(0, PLACES, SOURCE), 12),
        (lambda: zeros().index_add(0, PLACES, SOURCE, alpha=2), 24),
        (lambda: zeros().index_reduce(0, PLACES, SOURCE, "prod"), 12),
        (lambda: zeros().index_copy(0, PLACES, SOURCE), 0),
        (lambda: zeros().index_put((PLACES,), SOURCE, accumulate=True), 12),
        (lambda: zeros().index_put((PLACES,), SOURCE), 0),
        (lambda: zeros().put(INDEX, SOURCE, accumulate=True), 12),
        (lambda: zeros().put(INDEX, SOURCE), 0),
        (lambda: aten._unsafe_index_put(zeros(), [PLACES], SOURCE, True), 12),
        (lambda: torch.segment_reduce(SOURCE[0], "sum", lengths=torch.tensor([1, 3])), 2),
        (lambda: torch.segment_reduce(SOURCE[0], "mean", lengths=torch.tensor([1, 3])), 4),
        (lambda: torch.segment_reduce(SOURCE[0], "max", lengths=torch.tensor([1, 3]), initial=0.5), 4),
        (lambda: torch.segment_reduce(SOURCE[0], "max", lengths=torch.tensor([1, 3]), initial=0.3), 4),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter", "ignore:index_reduce")
def test_each_source_is_one_operation(run, flops):
    assert count_flops(run) == flops


@pytest.mark.parametrize(
    ("operator", "run", "index_bytes", "source_bytes"),
    [
        ("scatter_add_", lambda x: x.scatter_add_(0, INDEX, SOURCE), 12 * 8, 12 * 4),
        ("scatter_reduce_", lambda x: x.scatter_reduce_(0, INDEX, SOURCE, "amax"), 12 * 8, 12 * 4),
        ("index_add_", lambda x: x.index_add_(0, PLACES, SOURCE), 3 * 8, 12 * 4),
        ("put_", lambda x: x.put_(INDEX, SOURCE, accumulate=True), 12 * 8, 12 * 4),
        ("index_reduce_", lambda x: x.index_reduce_(0, PLACES, SOURCE, "amin"), 3 * 8, 12 * 4),
    ],
)
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_in_place_only_the_places_are_read_and_written(operator, run, index_bytes, source_bytes):
    cost = entry(f"aten.{operator}", lambda: run(torch.zeros(1000, 4)))
    assert counts(cost) == (12, 0)
    assert cost.bytes_read == index_bytes + 2 * source_bytes  # the sources, and the elements they are added to
    assert cost.bytes_written == source_bytes


def test_to_put_values_in_place_reads_nothing_of_what_was_there():
    cost = entry("aten.put_", lambda: zeros().put_(INDEX, SOURCE))
    assert (cost.bytes_read, cost.bytes_written) == (12 * 8 + 12 * 4, 12 * 4)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_coalescing_adds_what_shares_a_place():
    x = torch.sparse_coo_tensor(torch.tensor([[0, 1, 1, 4, 4, 4]]), torch.rand(6), (9,), check_invariants=True)
    assert counts(entry("aten._coalesce", x.coalesce)) == (3, 0)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_gradient_of_padding_adds_the_copies(mode, dims):
    """Each element of the padded result contributes one gradient to the element that it copies."""
    x = torch.rand(2, *[4] * dims, requires_grad=True)
    result = functional.pad(x, [1, 2] * dims, mode=mode)
    cost = entry(
        f"aten.{'reflection' if mode == 'reflect' else 'replication'}_pad{dims}d_backward",
        lambda: torch.autograd.grad(result.sum(), x),
    )
    assert counts(cost) == (2 * (7**dims - 4**dims), 0)


@pytest.mark.parametrize(("size", "step"), [(3, 1), (3, 2), (2, 2), (2, 3), (7, 1), (1, 1)])
def test_the_gradient_of_windows_adds_where_they_overlap(size, step):
    """An element in n windows sums n gradients: n − 1 adds."""
    x = torch.rand(3, 7, requires_grad=True)
    windows = x.unfold(1, size, step)
    cost = entry("aten.unfold_backward", lambda: torch.autograd.grad(windows.sum(), x))
    windows_per_element = torch.autograd.grad(x.unfold(1, size, step).sum(), x)[0]
    assert counts(cost) == (int((windows_per_element - 1).clamp_min(0).sum()), 0)
