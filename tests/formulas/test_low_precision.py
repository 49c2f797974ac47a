"""Products in 8 and 4 bits, and those of all experts of a mixture."""

from __future__ import annotations

import pytest
import torch
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import ones, products

from profiler.values.records import TensorSpec

FLOAT8 = torch.float8_e4m3fn
M, K, N = 16, 32, 48


def _mm(m=M, k=K, n=N):
    return products(torch.mm, ones(m, k), ones(k, n))


def test_integers_are_multiplied_like_any_numbers():
    a, b = torch.ones(M, K, dtype=torch.int8), torch.ones(K, N, dtype=torch.int8)
    cost = entry("aten._int_mm", lambda: torch._int_mm(a, b))
    assert (cost.macs, cost.other_flops, cost.dtype) == (products(torch._int_mm, a, b), 0, "int8")


@pytest.mark.parametrize(("bias", "operations"), [(None, 2), (torch.ones(N), 3)])
def test_a_scaled_product_takes_a_multiply_for_each_scale(bias, operations):
    a, b, scale = ones(M, K).to(FLOAT8), ones(N, K).to(FLOAT8).t(), torch.ones(())
    run = lambda: torch._scaled_mm(a, b, scale, scale, bias=bias, out_dtype=torch.float32)
    cost = entry("aten._scaled_mm", run)
    assert (cost.macs, cost.other_flops, cost.dtype) == (_mm(), operations * M * N, "float8_e4m3fn")


def test_two_four_bit_numbers_share_a_byte():
    packed = TensorSpec((M, K // 2), "float4_e2m1fn_x2", M * K // 2)
    weight = TensorSpec((K // 2, N), "float4_e2m1fn_x2", K * N // 2)
    cost = entry_of("aten._scaled_mm_v2.default", (spec(M, N),), self=packed, mat2=weight, bias=None)
    assert cost.macs == _mm()


def test_a_scaled_sum_adds_what_was_there():
    factors = {"beta": 1, "alpha": 1}
    cost = entry_of("aten._scaled_addmm.default", (spec(M, N),), mat1=spec(M, K), mat2=spec(K, N), **factors)
    assert (cost.macs, cost.other_flops) == (_mm(), 3 * M * N)


def test_eight_bit_weights_are_scaled_in_the_results():
    x, w = torch.ones(M, K, dtype=torch.bfloat16), torch.ones(N, K, dtype=torch.int8)
    scales = torch.ones(N, dtype=torch.bfloat16)
    cost = entry("aten._weight_int8pack_mm", lambda: torch._weight_int8pack_mm(x, w, scales))
    assert (cost.macs, cost.other_flops, cost.dtype) == (_mm(), M * N, "bfloat16")


def test_four_bit_weights_are_scaled_and_shifted_one_by_one():
    x, w = torch.ones(M, K), torch.ones(N, K, dtype=torch.int32)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(w, 1)
    scales = torch.ones(K // 32, N, 2)
    run = lambda: torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, 32, scales)
    cost = entry("aten._weight_int4pack_mm_for_cpu", run)
    assert (cost.macs, cost.other_flops) == (_mm(), 2 * N * K)
    assert cost.bytes_read == 4 * M * K + N * K // 2 + 4 * scales.numel()


def test_rows_are_quantized_by_their_own_ranges():
    cost = entry_of("aten._dyn_quant_matmul_4bit.default", (spec(M, N),), inp=spec(M, K), in_features=K, out_features=N)
    # Of each row: K - 1 compares for either end of the range, and divide, round, shift, and two to clamp each element.
    assert (cost.macs, cost.other_flops) == (_mm(), M * (2 * (K - 1) + 5 * K) + 2 * M * N)


def test_integer_weights_in_a_linear_layer_are_scaled_in_the_results():
    cost = entry_of(
        "aten._mixed_dtypes_linear.default",
        (spec(M, N),),
        input=spec(M, K),
        weight=spec(K, N, dtype="int8"),
        bias=spec(N),
    )
    assert (cost.macs, cost.other_flops) == (_mm(), 2 * M * N)


E = 3
OFFSETS = torch.tensor([8, 16, 32], dtype=torch.int32)
GROUPS = {
    "rows": ((32, 16), (E, 16, 24), OFFSETS),
    "rows that nobody gets": ((48, 16), (E, 16, 24), OFFSETS),
    "columns": ((E, 16, 24), (24, 32), OFFSETS),
    "sums": ((16, 32), (32, 24), OFFSETS),
    "none": ((E, 16, 24), (E, 24, 8), None),
}


@pytest.mark.parametrize("form", GROUPS)
def test_experts_take_a_mac_for_each_product(form):
    left, right, offsets = GROUPS[form]
    a, b = torch.ones(left, dtype=torch.bfloat16), torch.ones(right, dtype=torch.bfloat16)
    cost = entry("aten._grouped_mm", lambda: torch._grouped_mm(a, b, offs=offsets))
    result = torch._grouped_mm(a, b, offs=offsets)
    used = result[: int(offsets[-1])] if "rows" in form else result
    assert cost.macs == int(used.double().sum())


@pytest.mark.parametrize("form", ["rows", "columns", "sums"])
def test_groups_of_unknown_ends_use_all(form):
    left, right, _ = GROUPS[form]
    a, b = (torch.ones(shape, dtype=torch.bfloat16, device="meta") for shape in (left, right))
    offsets = torch.ones(E, dtype=torch.int32, device="meta")
    known = entry(
        "aten._grouped_mm",
        lambda: torch._grouped_mm(
            torch.ones(left, dtype=torch.bfloat16), torch.ones(right, dtype=torch.bfloat16), offs=OFFSETS
        ),
    )
    assert entry("aten._grouped_mm", lambda: torch._grouped_mm(a, b, offs=offsets)).macs == known.macs


def test_products_summed_over_groups_end_with_the_last_group():
    """Columns and rows beyond the last of the ends belong to no group."""
    ends = TensorSpec((3,), "int32", 3, values=(8, 16, 20))
    out = (spec(3, 16, 24, dtype="bfloat16"),)
    cost = entry_of("aten._grouped_mm.default", out, self=spec(16, 32), mat2=spec(32, 24), offs=ends, bias=None)
    assert cost.macs == sum(products(torch.mm, ones(16, n), ones(n, 24)) for n in (8, 8, 4))


def test_scaled_experts_are_scaled_in_the_results():
    ends = TensorSpec((E,), "int32", E, values=(8, 16, 32))
    shapes = {"self": spec(32, 16, dtype="float8_e4m3fn"), "mat2": spec(E, 16, 24, dtype="float8_e4m3fn")}
    for operator in ("aten._scaled_grouped_mm.default", "aten._scaled_grouped_mm_v2.default"):
        cost = entry_of(operator, (spec(32, 24),), **shapes, offs=ends, bias=None)
        assert (cost.macs, cost.other_flops) == (32 * 16 * 24, 32 * 24)
