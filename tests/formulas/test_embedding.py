"""Embeddings: what is picked is read, what is joined is counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas.array_operations import Tally, assert_agree, backward, counts, entry, entry_of, numbers, spec
from torch.nn import functional as F  # noqa: N812 - its usual name

ROWS, WIDTH = 10, 4
INDICES = torch.tensor([[1, 2, 2], [5, 1, 9]])
MODES = {"sum": 0, "mean": 1, "max": 2}


def table(**options):
    return torch.randn(ROWS, WIDTH, **options)


def test_a_look_up_computes_nothing_and_reads_what_it_picks():
    cost = entry("aten.embedding", lambda: F.embedding(INDICES, table()))
    # Six indices of 8 bytes, six rows of four floats; the other rows stay where they are.
    assert numbers(cost) == (0, 0, 0, 6 * 8 + 24 * 4, 24 * 4)


def test_backward_of_a_look_up_adds_every_gradient_to_its_row():
    y = F.embedding(INDICES, table(requires_grad=True))
    cost = entry("aten.embedding_dense_backward", lambda: backward(y))
    assert counts(cost) == (24, 0)
    assert cost.bytes_written == ROWS * WIDTH * 4


def test_scaling_by_frequency_counts_the_indices_and_divides():
    weight, t = table(requires_grad=True), Tally()
    y = F.embedding(INDICES, weight, scale_grad_by_freq=True)
    dy = torch.randn_like(y)
    cost = entry("aten.embedding_dense_backward", lambda: y.backward(dy))
    frequency, dw = t.zeros(ROWS), t.zeros(ROWS, WIDTH)
    for i in INDICES.flatten().tolist():
        frequency[i] = frequency[i] + 1
    for i, g in zip(INDICES.flatten().tolist(), t.array(dy).reshape(6, WIDTH), strict=True):
        dw[i] = dw[i] + g / frequency[i]
    assert_agree([dw], [weight.grad])
    assert counts(cost) == t.counts


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_renormalisation_is_bounded_by_every_row_picked_being_too_long(p):
    weight, t = table() + 5, Tally()
    picked = torch.tensor([1, 4, 7])
    rows = t.array(weight[picked])
    if p == 2:
        norms = np.sqrt((rows * rows).sum(1, keepdims=True))
    else:
        norms = abs(rows).sum(1, keepdims=True) if p == 1 else (abs(rows) ** p).sum(1, keepdims=True) ** (1 / p)
    assert (norms > 1).all()
    shortened = rows * (1 / (norms + 1e-7))
    cost = entry("aten.embedding_renorm_", lambda: torch.embedding_renorm_(weight, picked, 1.0, p))
    assert_agree([shortened], [weight[picked]])
    assert counts(cost) == t.counts
    assert (cost.bytes_read, cost.bytes_written) == (3 * 8 + 12 * 4, 12 * 4)


def test_renormalisation_touches_no_more_rows_than_there_are():
    cost = entry("aten.embedding_renorm_", lambda: torch.embedding_renorm_(table(), torch.zeros(100).long(), 1.0, 2.0))
    assert cost.bytes_written == ROWS * WIDTH * 4


@pytest.mark.parametrize(("trained", "name"), [(True, "_embedding_bag"), (False, "_embedding_bag_forward_only")])
@pytest.mark.parametrize("mode", MODES)
def test_a_bag_joins_its_rows(mode, trained, name):
    weight, t = table(requires_grad=trained), Tally()
    rows = t.array(weight[INDICES])
    ours = {"sum": lambda: rows.sum(1), "mean": lambda: rows.sum(1) / 3, "max": lambda: rows.max(1)}[mode]()
    run = lambda: F.embedding_bag(INDICES, weight, mode=mode)
    assert_agree([ours], [run()])
    cost = entry(f"aten.{name}", run)
    assert counts(cost) == t.counts
    assert cost.macs == 0
    assert cost.bytes_read == 6 * 8 + 2 * 8 + 24 * 4
    assert cost.bytes_written == 8 * 4 + (8 * 8 if mode == "max" else 0)


def test_bags_of_varying_length_cost_what_equal_ones_do():
    flat, offsets = INDICES.flatten(), torch.tensor([0, 1, 6])
    run = lambda: F.embedding_bag(flat, table(), offsets, include_last_offset=True, mode="sum")
    # Six rows to two bags: four adds of rows of four.
    assert counts(entry("aten._embedding_bag_forward_only", run)) == (4 * WIDTH, 0)


def test_weights_make_a_bag_a_sparse_matrix_product():
    weight, scale = torch.ones(ROWS, WIDTH), torch.ones(2, 3)
    run = lambda: F.embedding_bag(INDICES, weight, mode="sum", per_sample_weights=scale)
    cost = entry("aten._embedding_bag_forward_only", run)
    # The sum of a product of ones is the number of its products.
    assert cost.macs == run().sum()
    assert counts(cost) == (0, 0)
    # Six indices and two offsets of 8 bytes, six rows of four and six weights of 4; two bags of four.
    assert (cost.bytes_read, cost.bytes_written) == ((6 + 2) * 8 + (24 + 6) * 4, 8 * 4)


@pytest.mark.parametrize("mode", MODES)
def test_backward_of_a_bag_adds_to_its_rows(mode):
    weight, t = table(requires_grad=True), Tally()
    y = F.embedding_bag(INDICES, weight, mode=mode)
    dy = torch.randn_like(y)
    cost = entry("aten._embedding_bag_backward", lambda: y.backward(dy))
    dw, gradients = t.zeros(ROWS, WIDTH), t.array(dy)
    winners = weight[INDICES].argmax(1)
    for bag in range(2):
        if mode == "max":
            for column in range(WIDTH):
                at = (INDICES[bag, winners[bag, column]].item(), column)
                dw[at] = dw[at] + gradients[bag, column]
            continue
        g = gradients[bag] / 3 if mode == "mean" else gradients[bag]
        for i in INDICES[bag].tolist():
            dw[i] = dw[i] + g
    assert_agree([dw], [weight.grad])
    assert counts(cost) == t.counts
    # Two gradients of four; for each the index that won, or six indices and the bag of each.
    assert cost.bytes_read == 8 * 4 + (8 if mode == "max" else 2 * 6) * 8


@pytest.mark.parametrize(("mode", "divided"), [("sum", 0), ("mean", 8)])
def test_scaling_a_bag_by_frequency_counts_the_indices_and_divides(mode, divided):
    y = F.embedding_bag(INDICES, table(requires_grad=True), mode=mode, scale_grad_by_freq=True)
    # Six counts, 24 divides, 24 adds; and for a mean two bags of four divided by their size.
    assert counts(entry("aten._embedding_bag_backward", lambda: backward(y))) == (6 + 24 + 24 + divided, 0)


def test_backward_of_a_weighted_bag_is_two_products():
    weight, scale = torch.ones(ROWS, WIDTH, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    y = F.embedding_bag(INDICES, weight, mode="sum", per_sample_weights=scale)
    run = lambda: y.backward(torch.ones_like(y), retain_graph=True)
    of_table = entry("aten._embedding_bag_backward", run)
    of_weights = entry("aten._embedding_bag_per_sample_weights_backward", run)
    weight.grad = scale.grad = None
    run()
    # Gradients of ones of sums of ones: each is the number of products in it.
    assert (of_table.macs, of_weights.macs) == (weight.grad.sum(), scale.grad.sum())
    assert counts(of_table) == counts(of_weights) == (0, 0)
    # Two gradients of four, six indices and the bag of each; six weights, or six rows of four.
    assert of_table.bytes_read == 8 * 4 + 2 * 6 * 8 + 6 * 4
    assert of_weights.bytes_read == 8 * 4 + 2 * 6 * 8 + 24 * 4


@pytest.mark.parametrize("mode", MODES)
def test_the_dense_backward_of_a_bag_may_be_called_by_itself(mode):
    arguments = {"grad": spec(2, WIDTH), "indices": spec(6, dtype="int64"), "scale_grad_by_freq": False,
                 "mode": MODES[mode], "per_sample_weights": None}  # fmt: skip
    costs = [entry_of(f"aten._embedding_bag_{name}backward.default", (spec(ROWS, WIDTH),), **arguments, **sparse)
             for name, sparse in (("dense_", {}), ("", {"sparse": False}))]  # fmt: skip
    assert numbers(costs[0]) == numbers(costs[1])
    assert counts(costs[0]) == ({"sum": 6 * 4, "mean": 6 * 4 + 2 * 4, "max": 2 * 4}[mode], 0)


@pytest.mark.parametrize(("mode", "weighted", "flops"), [("sum", False, 0), ("mean", False, 8), ("sum", True, 24)])
def test_a_sparse_gradient_of_a_bag_adds_nothing(mode, weighted, flops):
    # Two bags of four are divided by their size; or each of six rows of four is weighted.
    cost = entry_of("aten._embedding_bag_backward.default", (spec(ROWS, WIDTH),), grad=spec(2, WIDTH),
                   indices=spec(6, dtype="int64"), scale_grad_by_freq=False, mode=MODES[mode], sparse=True,
                   per_sample_weights=spec(6) if weighted else None)  # fmt: skip
    assert counts(cost) == (flops, 0)
    assert cost.bytes_read == 8 * 4 + 2 * 6 * 8 + 6 * 4 * weighted
    if not weighted:
        y = F.embedding_bag(INDICES, table(requires_grad=True), mode=mode, sparse=True)
        assert counts(entry("aten._embedding_bag_backward", lambda: backward(y))) == (flops, 0)


@pytest.mark.parametrize("mode", MODES)
def test_meta_and_cpu_cost_the_same(mode):
    def run(device, name):
        weight, indices = table(requires_grad=True).detach().to(device).requires_grad_(), INDICES.to(device)
        forward = lambda: F.embedding_bag(indices, weight, mode=mode)
        return entry(name, lambda: backward(forward()) if name.endswith("backward") else forward())

    for name in ("aten._embedding_bag", "aten._embedding_bag_backward"):
        assert numbers(run("cpu", name)) == numbers(run("meta", name))
