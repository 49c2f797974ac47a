"""Sparse matrix products against the oracle of ones, which counts only stored elements."""

from __future__ import annotations

import pytest
import torch
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import ones, products, profile_call, totals
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")

#: 7 of 20 elements are stored.
PATTERN = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 1], [0, 0, 1, 1, 0]], dtype=torch.float32)
LAYOUTS = {
    "COO": PATTERN.to_sparse,
    "CSR": PATTERN.to_sparse_csr,
    "CSC": PATTERN.to_sparse_csc,
    "BSR": lambda: PATTERN.repeat(1, 4).to_sparse_bsr((2, 2)),
    "empty": lambda: torch.zeros(4, 5).to_sparse(),
    "with repetitions": lambda: torch.sparse_coo_tensor([[0, 0, 3], [1, 1, 2]], torch.ones(3), (4, 5)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sparse_product_takes_a_mac_for_each_stored_element_and_column(layout):
    matrix = LAYOUTS[layout]()
    dense = torch.ones(matrix.shape[1], 3)
    expected = products(torch.mm, matrix, dense)
    if layout == "BSR":  # whole blocks are stored and multiplied, zeros included
        expected = matrix.values().numel() * 3
    assert totals(torch.mm, matrix, dense).macs == expected


@pytest.mark.parametrize("layout", ["COO", "CSR"])
@pytest.mark.parametrize(
    "run",
    [
        lambda a: torch.mv(a, torch.ones(5)),
        lambda a: torch.addmm(torch.zeros(4, 3), a, torch.ones(5, 3)),
        lambda a: torch.mm(torch.ones(3, 4), a),
        lambda a: F.linear(torch.ones(6, 5), a),
        lambda a: torch.sparse.mm(a, torch.ones(5, 3)),
    ],
    ids=["mv", "addmm", "on the right", "weight", "sparse.mm"],
)
def test_any_product_with_a_sparse_matrix_is_counted_so(layout, run):
    assert totals(run, LAYOUTS[layout]()).macs == products(run, LAYOUTS[layout]())


@pytest.mark.parametrize(
    "run",
    [
        lambda a: torch.sparse.addmm(torch.zeros(4, 3), a, torch.ones(5, 3)),
        lambda a: torch.hspmm(a, torch.ones(5, 3)),
        lambda a: torch.smm(a, torch.ones(5, 3)),
        lambda a: torch.sspaddmm(torch.zeros(4, 3).to_sparse(), a, torch.ones(5, 3)),
    ],
    ids=["sparse.addmm", "hspmm", "smm", "sspaddmm"],
)
def test_so_is_any_product_with_a_matrix_of_coordinates(run):
    assert totals(run, LAYOUTS["COO"]()).macs == products(run, LAYOUTS["COO"]())


def test_so_is_a_compressed_matrix_by_a_vector_that_is_added():
    run = lambda a: torch.addmv(torch.zeros(4), a, torch.ones(5))
    assert totals(run, LAYOUTS["CSR"]()).macs == products(run, LAYOUTS["CSR"]())


def test_a_batch_of_sparse_matrices_is_counted_together():
    batch = torch.stack([PATTERN, PATTERN.flip(0)]).to_sparse()
    dense = torch.ones(2, 5, 3)
    assert totals(torch.bmm, batch, dense).macs == products(torch.bmm, batch, dense)


def test_the_sum_of_a_sparse_product_is_an_add_for_each_result():
    cost = totals(lambda: torch.sparse.addmm(torch.ones(4, 3), LAYOUTS["COO"](), torch.ones(5, 3)))
    assert cost.other_flops == 4 * 3
    assert totals(lambda: torch.sparse.mm(LAYOUTS["COO"](), torch.ones(5, 3))).other_flops == 0


def test_a_sampled_product_is_made_where_there_is_something():
    run = lambda: torch.sparse.sampled_addmm(LAYOUTS["CSR"](), torch.ones(4, 6), torch.ones(6, 5), beta=0)
    assert totals(run).macs == int(run().values().sum())
    added = lambda: torch.sparse.sampled_addmm(LAYOUTS["CSR"](), torch.ones(4, 6), torch.ones(6, 5))
    assert totals(added).other_flops == 7


@pytest.mark.parametrize(
    ("reduce", "macs", "flops"),
    [("sum", 7 * 3, 0), ("mean", 7 * 3, 4 * 3), ("amax", 0, 2 * 7 * 3), ("amin", 0, 2 * 7 * 3)],
)
def test_a_reduced_product_sums_or_compares(reduce, macs, flops):
    cost = totals(lambda: torch.sparse.mm(LAYOUTS["CSR"](), torch.ones(5, 3), reduce))
    assert (cost.macs, cost.other_flops) == (macs, flops)


def test_the_gradient_of_a_sparse_product_is_one_too():
    dense = torch.ones(5, 3, requires_grad=True)
    backward = profile_call(lambda d: torch.sparse.mm(LAYOUTS["COO"](), d).sum().backward(), dense).phases["backward"]
    assert backward.macs == products(torch.mm, LAYOUTS["COO"]().t(), torch.ones(4, 3))


def test_stored_values_are_what_is_read():
    cost = entry("aten.mm", lambda: torch.mm(LAYOUTS["CSR"](), torch.ones(5, 3)))
    assert cost.bytes_read == 4 * (7 + 5 * 3)


@pytest.mark.parametrize("layout", ["COO", "CSR"])
def test_of_two_sparse_matrices_nobody_can_tell(layout):
    matrix = LAYOUTS[layout]()
    other = PATTERN.T.to_sparse() if layout == "COO" else PATTERN.T.contiguous().to_sparse_csr()
    with profiler.profile() as p:
        torch.mm(matrix, other)
    assert [row.calls for row in p.uncounted] == [1]
    assert p.totals.macs == 0


M, K, N = 32, 64, 16


def test_of_a_compressed_matrix_half_is_multiplied():
    arguments = {"compressed_A": spec(M * K * 9 // 16, dtype="float16"), "dense_B": spec(K, N, dtype="float16")}
    cost = entry_of("aten._cslt_sparse_mm.default", (spec(M, N),), **arguments, bias=spec(M), alpha=None)
    assert cost.macs == products(torch.mm, ones(M, K), ones(K, N)) // 2
    assert cost.other_flops == M * N


@pytest.mark.parametrize(
    ("operator", "arguments", "flops"),
    [
        ("mm", {"mat1": spec(M, K // 2), "mat2": spec(K, N)}, 0),
        ("addmm", {"mat1": spec(M, K // 2), "mat2": spec(K, N), "alpha": 1, "beta": 1}, 1),
        ("linear", {"input": spec(N, K), "weight": spec(M, K // 2), "bias": spec(M), "activation": "relu"}, 2),
    ],
)
def test_of_a_semi_structured_matrix_what_is_stored_is_multiplied(operator, arguments, flops):
    cost = entry_of(f"aten._sparse_semi_structured_{operator}.default", (spec(M, N),), **arguments)
    assert cost.macs == products(torch.mm, ones(M, K // 2), ones(K // 2, N))
    assert cost.other_flops == flops * M * N
