"""Dense matrix and vector products against the oracle of ones."""

from __future__ import annotations

import itertools

import pytest
import torch
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import arithmetic, ones, products, totals
from torch.nn import functional as F  # noqa: N812 - its usual name

from profiler.values.records import TensorSpec

CONTRACTIONS = {
    "mm": (torch.mm, (3, 4), (4, 5)),
    "bmm": (torch.bmm, (2, 3, 4), (2, 4, 5)),
    "mv": (torch.mv, (3, 4), (4,)),
    "dot": (torch.dot, (7,), (7,)),
    "vdot": (torch.vdot, (7,), (7,)),
    "matmul, broadcast": (torch.matmul, (2, 1, 3, 4), (5, 4, 6)),
    "matmul, batch by vector": (torch.matmul, (2, 5, 3, 4), (4,)),
    "matmul, vector by matrix": (torch.matmul, (4,), (4, 3)),
    "matmul, vector by batch": (torch.matmul, (4,), (2, 4, 3)),
    "einsum": (lambda a, b: torch.einsum("bij,bkj->bik", a, b), (2, 3, 4), (2, 5, 4)),
    "einsum, heads": (lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b), (2, 3, 4, 5), (2, 3, 6, 5)),
    "tensordot": (lambda a, b: torch.tensordot(a, b, 2), (3, 4, 5), (4, 5, 6)),
    "linear": (F.linear, (2, 5, 4), (3, 4)),
    "linear, one row": (F.linear, (4,), (3, 4)),
    "linear, not contiguous": (lambda x, w: F.linear(x.transpose(1, 2), w), (2, 4, 5), (3, 4)),
    "addmm": (lambda a, b: torch.addmm(torch.zeros(3, 5), a, b, beta=0), (3, 4), (4, 5)),
    "addmv": (lambda a, b: torch.addmv(torch.zeros(3), a, b, beta=0), (3, 4), (4,)),
    "baddbmm": (lambda a, b: torch.baddbmm(torch.zeros(5), a, b, beta=0), (2, 3, 4), (2, 4, 5)),
    "addbmm": (lambda a, b: torch.addbmm(torch.zeros(3, 5), a, b, beta=0), (2, 3, 4), (2, 4, 5)),
    "empty": (torch.mm, (3, 0), (0, 5)),
}


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_a_contraction_takes_a_mac_for_each_product(name):
    run, *shapes = CONTRACTIONS[name]
    operands = [ones(*shape, dtype=torch.float32) for shape in shapes]
    cost = totals(run, *operands)
    assert cost.macs == cost.masked_macs == products(run, *operands)
    assert cost.other_flops == cost.transcendentals == 0


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_meta_counts_what_the_cpu_counts(name):
    run, *shapes = CONTRACTIONS[name]
    on = {device: [torch.empty(shape, device=device) for shape in shapes] for device in ("cpu", "meta")}
    with torch.device("meta"):
        meta = totals(run, *on["meta"])
    assert meta == totals(run, *on["cpu"])


@pytest.mark.parametrize(
    ("run", "sizes", "steps"),
    [
        (torch.linalg.multi_dot, (3, 4, 5, 6), [(3, 4, 5), (3, 5, 6)]),
        (torch.linalg.multi_dot, (7, 2, 9, 3), [(2, 9, 3), (7, 2, 3)]),
        (lambda chain: torch.einsum("ij,jk,kl->il", *chain), (3, 4, 5, 6), [(3, 4, 5), (3, 5, 6)]),
    ],
)
def test_a_chain_takes_the_products_of_its_steps_in_the_order_that_is_chosen(run, sizes, steps):
    chain = [ones(m, n) for m, n in itertools.pairwise(sizes)]
    assert totals(run, chain).macs == sum(products(torch.mm, ones(m, k), ones(k, n)) for m, k, n in steps)


@pytest.mark.parametrize(
    "run",
    [
        torch.outer,
        lambda a, b: torch.einsum("i,j->ij", a, b),
        lambda a, b: torch.addr(torch.zeros(3, 5), a, b, beta=0),
    ],
)
def test_an_outer_product_multiplies_and_sums_nothing(run):
    operands = ones(3, dtype=torch.float32), ones(5, dtype=torch.float32)
    assert arithmetic(totals(run, *operands)) == (0, products(run, *operands), 0)


@pytest.mark.parametrize("run", [torch.mm, torch.matmul, lambda a, b: torch.einsum("ij,jk->ik", a, b)])
def test_a_complex_product_is_four_real_ones(run):
    real = ones(3, 4), ones(4, 5)
    assert totals(run, *(operand.to(torch.complex64) for operand in real)).macs == 4 * products(run, *real)


@pytest.mark.parametrize(
    ("run", "result"),
    [
        (lambda **k: torch.addmm(torch.ones(5), torch.ones(3, 4), torch.ones(4, 5), **k), 15),
        (lambda **k: torch.addmv(torch.ones(3), torch.ones(3, 4), torch.ones(4), **k), 3),
        (lambda **k: torch.baddbmm(torch.ones(3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5), **k), 30),
        (lambda **k: torch.addbmm(torch.ones(3, 5), torch.ones(2, 3, 4), torch.ones(2, 4, 5), **k), 15),
    ],
)
@pytest.mark.parametrize(
    ("factors", "operations"),
    [({}, 1), ({"beta": 0}, 0), ({"beta": 0.3}, 2), ({"alpha": 2}, 2), ({"beta": 3, "alpha": 0.7}, 3)],
)
def test_a_sum_takes_an_add_and_a_multiply_for_each_factor_that_is_not_one(run, result, factors, operations):
    assert totals(lambda: run(**factors)).other_flops == operations * result


def test_a_bias_is_an_add_for_each_result():
    x, w, b = torch.ones(6, 4), torch.ones(3, 4), torch.ones(3)
    assert arithmetic(totals(F.linear, x, w, b)) == (6 * 4 * 3, 6 * 3, 0)


def test_what_is_multiplied_by_zero_is_not_read():
    a, b, c = torch.ones(3, 4), torch.ones(4, 5), torch.ones(3, 5)
    assert totals(lambda: torch.addmm(c, a, b)).bytes_read == 4 * (12 + 20 + 15)
    assert totals(lambda: torch.addmm(c, a, b, beta=0)).bytes_read == 4 * (12 + 20)


@pytest.mark.parametrize(("use_gelu", "activation"), [(False, torch.relu), (True, F.gelu)])
def test_a_fused_activation_costs_what_it_costs_alone(use_gelu, activation):
    b, x, w = torch.ones(5), torch.ones(3, 4), torch.ones(4, 5)
    fused = totals(lambda: torch._addmm_activation(b, x, w, use_gelu=use_gelu))
    assert arithmetic(fused) == arithmetic(totals(lambda: activation(torch.addmm(b, x, w))))


@pytest.mark.parametrize(
    ("attr", "algorithm", "activation"),
    [
        ("none", "", lambda y: y),
        ("relu", "", torch.relu),
        ("gelu", "none", F.gelu),
        ("gelu", "tanh", lambda y: F.gelu(y, approximate="tanh")),
        ("swish", "", F.silu),
        ("tanh", "", torch.tanh),
    ],
)
def test_a_linear_layer_of_onednn_costs_what_its_parts_do(attr, algorithm, activation):
    x, w, b = torch.ones(2, 4), torch.ones(3, 4), torch.ones(3)
    fused = totals(lambda: torch.ops.mkldnn._linear_pointwise(x, w, b, attr, [], algorithm))
    assert arithmetic(fused) == arithmetic(totals(lambda: activation(F.linear(x, w, b))))


def test_a_linear_layer_of_onednn_may_add_its_result():
    x, w, other = torch.ones(2, 4), torch.ones(3, 4), torch.ones(2, 3)
    fused = totals(lambda: torch.ops.mkldnn._linear_pointwise.binary(x, other, w, None, "add"))
    assert arithmetic(fused) == (2 * 4 * 3, 6, 0)


def test_an_opaque_linear_layer_counts_as_an_open_one():
    x, w, b = torch.ones(2, 4), torch.ones(3, 4), torch.ones(3)
    opaque = entry("aten.mkldnn_linear", lambda: torch._C._nn.mkldnn_linear(x.to_mkldnn(), w, b))
    assert (opaque.macs, opaque.other_flops) == (2 * 4 * 3, 6)


@pytest.mark.parametrize("output_mask", list(itertools.product([True, False], repeat=3)))
def test_the_backward_of_a_linear_layer_costs_what_is_asked_for(output_mask):
    cost = entry_of(
        "aten.linear_backward.default", (spec(6, 4), spec(3, 4), spec(3)),
        self=spec(6, 4), grad_output=spec(6, 3), weight=spec(3, 4), output_mask=output_mask,
    )  # fmt: skip
    grad, x, w = ones(6, 3), ones(6, 4), ones(3, 4)
    parts = products(torch.mm, grad, w), products(torch.mm, grad.T, x)
    assert cost.macs == sum(part for part, is_set in zip(parts, output_mask[:2], strict=True) if is_set)
    assert cost.other_flops == (6 * 3 - 3) * output_mask[2]


BILINEAR = {
    "forward": ((6, 4), (3, 4, 5), (6, 5), [1, 3], [0], [1, 2], [2, 3]),
    "gradient of the first input": ((6, 3), (3, 4, 5), (6, 5), [2, 3], [0], [1, 2], [1, 3]),
    "gradient of the second input": ((6, 4), (3, 4, 5), (6, 3), [1, 3], [0], [2, 3], [1, 2]),
    "gradient of the weight": ((6, 4), (6, 3), (6, 5), [1, 3], [2, 3], [1, 2], [0]),
    "a sum over what only one factor has": ((6, 4), (3, 4, 5), (3, 5), [1, 3], [0], [0, 2], [0, 2]),
    "no batch": ((0, 4), (3, 4, 5), (0, 5), [1, 3], [0], [1, 2], [2, 3]),
}


@pytest.mark.parametrize("unroll_dim", [0, 1, 2])
@pytest.mark.parametrize("form", BILINEAR)
def test_three_factors_are_multiplied_two_by_two_and_slice_by_slice(form, unroll_dim):
    *shapes, expand1, expand2, expand3, sumdim = BILINEAR[form]
    operands = [torch.rand(shape) for shape in shapes]
    whole = (*operands, expand1, expand2, expand3, sumdim, unroll_dim)
    torch.testing.assert_close(torch._trilinear(*whole), _by_hand(*whole))
    assert arithmetic(totals(torch._trilinear, *whole)) == arithmetic(totals(_by_hand, *whole))


def test_a_bilinear_layer_takes_a_mac_for_each_weight_and_one_more_for_each_second_input():
    x, y, w = ones(6, 4), ones(6, 5), ones(3, 4, 5)
    first = products(lambda a, b: torch.einsum("bi,oij->boj", a, b), x, w)
    second = products(lambda a, b: torch.einsum("boj,bj->bo", a, b), ones(6, 3, 5), y)
    assert totals(F.bilinear, x, y, w).macs == first + second == 6 * 3 * 5 * (4 + 1)


def _by_hand(one, two, three, expand1, expand2, expand3, sumdim, unroll_dim):
    """Compute ``_trilinear`` in the steps of its definition, each of them an operator."""
    factors = [_unsqueeze(f, dims) for f, dims in ((one, expand1), (two, expand2), (three, expand3))]
    sizes = torch.broadcast_shapes(*(f.shape for f in factors))
    result = torch.zeros([1 if d in sumdim else n for d, n in enumerate(sizes)])
    reduced_dims = set(sumdim) - {unroll_dim}
    for k in range(sizes[unroll_dim]):
        a, b, c = (f.narrow(unroll_dim, min(k, f.shape[unroll_dim] - 1), 1) for f in factors)
        part = _pair(_pair(a, b, reduced_dims & set(expand3)), c, reduced_dims - set(expand3))
        (result if unroll_dim in sumdim else result.narrow(unroll_dim, k, 1)).add_(part)
    return result.squeeze(sumdim)


def _unsqueeze(tensor, dims):
    for dim in sorted(dims):
        tensor = tensor.unsqueeze(dim)
    return tensor


def _pair(a, b, reduced_dims):
    """Compute ``(a · b).sum(reduced_dims, keepdim=True)`` as a contraction, or as a product if nothing is reduced."""
    if not reduced_dims:
        return a * b
    in_one_factor = [d for d in reduced_dims if 1 in {a.shape[d], b.shape[d]}]
    if in_one_factor:
        a, b = a.sum(in_one_factor, keepdim=True), b.sum(in_one_factor, keepdim=True)
    if reduced_dims == set(in_one_factor):  # only products of single numbers remain
        a, b = torch.broadcast_tensors(a, b)
        return torch.bmm(a.reshape(-1, 1, 1), b.reshape(-1, 1, 1)).view(a.shape)
    letters = "abcd"[: a.dim()]
    output = "".join(letter for d, letter in enumerate(letters) if d not in reduced_dims)
    return _unsqueeze(torch.einsum(f"{letters},{letters}->{output}", a, b), reduced_dims)


def test_nested_matrices_are_multiplied_component_by_component():
    # Two components of two heads, with 5 and 3 rows of width 4, times their transposes.
    left = TensorSpec((2, 2, 5, 4), "float32", 64, "nested", values=(2, 5, 4, 2, 3, 4))
    right = TensorSpec((2, 2, 4, 5), "float32", 64, "nested", values=(2, 4, 5, 2, 4, 3))
    out = TensorSpec((2, 2, 5, 5), "float32", 68, "nested", values=(2, 5, 5, 2, 3, 3))
    expected = sum(products(torch.bmm, ones(2, n, 4), ones(2, 4, n)) for n in (5, 3))
    assert entry_of("aten.matmul.default", (out,), self=left, other=right).macs == expected
    for mask in ((True, False), (True, True)):
        arguments = {"grad": out, "self": left, "other": right, "mask": mask}
        assert entry_of("aten.matmul_backward.default", (left, None), **arguments).macs == sum(mask) * expected


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_a_nested_linear_layer_multiplies_the_rows_that_are_there():
    rows = torch.nested.nested_tensor([torch.ones(n, 8) for n in (5, 3)])
    cost = entry("aten.linear", lambda: F.linear(rows, torch.ones(3, 8), torch.ones(3)))
    assert (cost.macs, cost.other_flops) == (8 * 8 * 3, 8 * 3)


def test_lists_of_matrices_are_multiplied_pair_by_pair():
    pairs = [spec(3, 4), spec(2, 5)], [spec(4, 5), spec(5, 7)]
    cost = entry_of("aten._foreach_mm.default", (spec(3, 5), spec(2, 7)), self=tuple(pairs[0]), mat2=tuple(pairs[1]))
    assert cost.macs == 3 * 4 * 5 + 2 * 5 * 7
