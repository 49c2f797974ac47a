"""What holds for every contraction, whatever its shapes: random modules of all families against the oracle of ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from formulas.oracle import fill_with_ones, ones, products, totals
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
small = st.integers(1, 5)


@dataclass(frozen=True)
class Case:
    """A kind of module, the shape of one sample, and what the oracle says of a batch of those."""

    make: Callable[[], nn.Module]
    sample: tuple[int, ...]
    oracle: Callable[[nn.Module, torch.Tensor], int]

    def module(self):
        return fill_with_ones(self.make())

    def batch(self, size):
        return ones(size, *self.sample)


class Attention(nn.Module):
    """Attention of all tokens to the first few."""

    def __init__(self, keys, *, is_causal):
        super().__init__()
        self.keys, self.is_causal = keys, is_causal

    def forward(self, x):
        key = x[:, :, : self.keys]
        return F.scaled_dot_product_attention(x, key, key, is_causal=self.is_causal)


class Twice(nn.Module):
    """A module of two inputs, given one and the same."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x, x)


class Einsum(nn.Module):
    """A contraction with a weight, as a formula."""

    def __init__(self, formula, *shape):
        super().__init__()
        self.formula, self.weight = formula, nn.Parameter(torch.empty(shape))

    def forward(self, x):
        return torch.einsum(self.formula, x, self.weight)


@st.composite
def linears(draw):
    inputs, outputs, bias = draw(small), draw(small), draw(st.booleans())
    between = tuple(draw(st.lists(small, max_size=2)))
    return Case(lambda: nn.Linear(inputs, outputs, bias=bias), (*between, inputs), products)


@st.composite
def einsums(draw):
    # A sum of one product is an elementwise product to torch, so that two are the least.
    (b, i, k), j = (draw(small) for _ in range(3)), draw(st.integers(2, 5))
    formula, sample, weight = draw(
        st.sampled_from(
            [
                ("nij,jk->nik", (i, j), (j, k)),
                ("nbij,bjk->nbik", (b, i, j), (b, j, k)),
                ("nijb,bjk->nik", (i, j, b), (b, j, k)),
                ("nij,kji->nk", (i, j), (k, j, i)),
            ]
        )
    )
    return Case(lambda: Einsum(formula, *weight), sample, products)


@st.composite
def convolutions(draw):
    dimensions, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    groups, per_group, out_per_group, kernel, stride, dilation = (draw(st.integers(1, 3)) for _ in range(6))
    length = dilation * (kernel - 1) + 1 + draw(st.integers(0, 3))
    kind = [
        (nn.Conv1d, nn.ConvTranspose1d), (nn.Conv2d, nn.ConvTranspose2d), (nn.Conv3d, nn.ConvTranspose3d)
    ][dimensions - 1][transposed]  # fmt: skip
    options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    channels = groups * per_group, groups * out_per_group
    return Case(lambda: kind(*channels, kernel, **options), (channels[0], *[length] * dimensions), products)


@st.composite
def attentions(draw):
    heads, length, width = draw(small), draw(small), draw(small)
    keys, causal = draw(st.integers(1, length)), draw(st.booleans())

    def oracle(_, x):
        key = x[:, :, :keys]
        return products(lambda q, k: q @ k.mT, x, key) + products(torch.matmul, ones(*x.shape[:3], keys), key)

    return Case(lambda: Attention(keys, is_causal=causal), (heads, length, width), oracle)


@st.composite
def recurrents(draw):
    kind, gates = draw(st.sampled_from([(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)]))
    length, inputs, hidden, layers = (draw(small) for _ in range(4))
    options = {"num_layers": layers, "bidirectional": draw(st.booleans()), "bias": draw(st.booleans())}
    directions = 1 + options["bidirectional"]

    def oracle(_, x):
        widths = [inputs] + [directions * hidden] * (layers - 1)
        steps = [(x.shape[0] * length, width) for width in widths] + [(x.shape[0] * length, hidden)] * layers
        return directions * sum(products(F.linear, ones(t, w), ones(gates * hidden, w)) for t, w in steps)

    return Case(lambda: kind(inputs, hidden, batch_first=True, **options), (length, inputs), oracle)


@st.composite
def bilinears(draw):
    inputs, outputs = draw(small), draw(small)

    def oracle(module, x):
        first = products(lambda a, w: torch.einsum("ni,oij->noj", a, w), x, module.inner.weight)
        return first + products(lambda a, b: torch.einsum("noj,nj->no", a, b), ones(len(x), outputs, inputs), x)

    return Case(lambda: Twice(nn.Bilinear(inputs, inputs, outputs)), (inputs,), oracle)


#: Modules that take a tensor and give one, so that they can stand in one model.
families = linears() | einsums() | convolutions() | attentions() | bilinears()


@few
@given(families | recurrents(), st.integers(1, 3))
def test_a_module_takes_the_macs_that_the_oracle_counts(case, batch):
    module, x = case.module(), case.batch(batch)
    assert totals(module, x).macs == case.oracle(module, x)


@few
@given(families | recurrents(), st.integers(1, 3), st.integers(2, 4))
def test_n_times_the_batch_takes_n_times_the_macs(case, batch, n):
    module = case.module()
    assert totals(module, case.batch(n * batch)).macs == n * totals(module, case.batch(batch)).macs


@few
@given(families | recurrents(), st.integers(1, 3))
def test_meta_takes_the_arithmetic_of_the_cpu(case, batch):
    x = case.batch(batch)
    here, there = totals(case.module(), x), totals(case.module().to("meta"), x.to("meta"))
    assert here.macs == there.macs
    # LSTMs and attention run fused on the CPU: the arithmetic is the same, the traffic is not.
    assert (here.other_flops, here.transcendentals) == (there.other_flops, there.transcendentals)


@few
@given(st.lists(families, min_size=1, max_size=4), st.integers(1, 2))
def test_a_model_takes_the_sum_of_its_parts(cases, batch):
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(case.module() for case in cases)

        def forward(self, inputs):
            return [part(x) for part, x in zip(self.parts, inputs, strict=True)]

    p = profiler.count(model := Parts(), [case.batch(batch) for case in cases])
    expected = [case.oracle(part, case.batch(batch)) for case, part in zip(cases, model.parts, strict=True)]
    assert p.totals.macs == sum(expected)
    assert [p.nodes[f"parts.{i}"].total.macs for i in range(len(cases))] == expected
    assert p.tree.total.flops == sum(node.own.flops for node in p.nodes.values())


@few
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=6), small, st.booleans())
def test_a_sparse_matrix_takes_the_products_of_what_it_stores(pattern, columns, compressed):
    dense = torch.tensor(pattern, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the layout is in beta
        matrix = dense.to_sparse_csr() if compressed else dense.to_sparse()
    other = torch.ones(4, columns)
    assert totals(torch.mm, matrix, other).macs == products(torch.mm, matrix, other) == int(dense.sum()) * columns


@few
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 3))
def test_experts_take_the_products_of_the_rows_that_are_theirs(rows, left_over):
    width, features = 8, 16
    ends = torch.tensor(rows).cumsum(0, dtype=torch.int32)
    tokens = torch.ones(sum(rows) + left_over, width, dtype=torch.bfloat16)
    experts = torch.ones(len(rows), width, features, dtype=torch.bfloat16)
    expected = products(torch.mm, ones(sum(rows), width), ones(width, features))
    assert totals(lambda x, w: torch._grouped_mm(x, w, offs=ends), tokens, experts).macs == expected
