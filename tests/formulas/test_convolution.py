"""Convolutions against the oracle of ones, which counts a padded position as no product: so without padding."""

from __future__ import annotations

import itertools
from math import prod

import pytest
import torch
import torchvision
from formulas.array_operations import entry, entry_of, spec
from formulas.oracle import arithmetic, fill_with_ones, ones, products, totals
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

import profiler
from profiler.values.records import FLOAT

#: Operator, input, weight, and what else it is told.
UNPADDED = {
    "1-d": (F.conv1d, (2, 4, 9), (6, 4, 3), {}),
    "2-d": (F.conv2d, (2, 4, 9, 8), (6, 4, 3, 2), {}),
    "3-d": (F.conv3d, (2, 4, 5, 6, 7), (6, 4, 3, 2, 1), {}),
    "strided": (F.conv2d, (2, 4, 9, 8), (6, 4, 3, 3), {"stride": (2, 3)}),
    "dilated": (F.conv2d, (2, 4, 9, 9), (6, 4, 3, 3), {"dilation": 2}),
    "grouped": (F.conv2d, (2, 4, 9, 9), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": (F.conv2d, (2, 4, 9, 9), (8, 1, 3, 3), {"groups": 4}),
    "unbatched": (F.conv2d, (4, 9, 9), (6, 4, 3, 3), {}),
    "transposed 1-d": (F.conv_transpose1d, (2, 4, 9), (4, 6, 3), {}),
    "transposed 2-d": (F.conv_transpose2d, (2, 4, 5, 6), (4, 6, 3, 2), {"stride": 2, "output_padding": 1}),
    "transposed 3-d": (F.conv_transpose3d, (2, 4, 3, 4, 5), (4, 6, 3, 2, 1), {}),
    "transposed, grouped": (F.conv_transpose2d, (2, 4, 5, 5), (4, 3, 3, 3), {"groups": 2, "dilation": 2}),
    "transposed, unbatched": (F.conv_transpose2d, (4, 9, 9), (4, 6, 3, 3), {}),
}
MASKS = list(itertools.product([True, False], repeat=3))


def _case(name):
    run, x, w, options = UNPADDED[name]
    return lambda x, w, b=None: run(x, w, b, **options), ones(*x), ones(*w)


@pytest.mark.parametrize("name", UNPADDED)
def test_a_convolution_takes_a_mac_for_each_product(name):
    run, x, w = _case(name)
    assert arithmetic(totals(run, x, w)) == (products(run, x, w), 0, 0)


@pytest.mark.parametrize("name", UNPADDED)
def test_a_bias_is_an_add_for_each_result(name):
    run, x, w = _case(name)
    out = run(x, w)
    bias = ones(out.shape[-x.dim() + 1] if "unbatched" not in name else out.shape[0])
    assert totals(run, x, w, bias).other_flops == out.numel()


@pytest.mark.parametrize("name", UNPADDED)
@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)], ids=["input", "weight", "both"])
def test_each_gradient_takes_as_many_macs_as_the_forward_pass(name, wanted):
    run, *operands = _case(name)
    asked = [operands[i].requires_grad_() for i in wanted]
    cost = entry("aten.convolution_backward", lambda: run(*operands).sum().backward())
    # The gradient of a sum of ones is itself a number of products.
    assert cost.macs == sum(int(operand.grad.sum()) for operand in asked) == len(asked) * products(run, *operands)


@pytest.mark.parametrize("name", UNPADDED)
def test_meta_counts_what_the_cpu_counts(name):
    run, x, w = _case(name)
    assert totals(run, x.to("meta"), w.to("meta")) == totals(run, x, w)


@pytest.mark.parametrize("wanted", MASKS)
@pytest.mark.parametrize("operator", ["convolution_backward", "convolution_backward_overrideable"])
def test_a_gradient_that_is_not_asked_for_costs_nothing(operator, wanted):
    grad, x, w = spec(2, 6, 7, 7), spec(2, 4, 9, 9), spec(6, 2, 3, 3)
    cost = entry_of(
        f"aten.{operator}.default", (x, w, spec(6)),
        grad_output=grad, input=x, weight=w, stride=(1, 1), transposed=False, output_mask=wanted,
    )  # fmt: skip
    of_input, of_weight, of_bias = wanted
    forward = products(lambda x, w: F.conv2d(x, w, groups=2), ones(2, 4, 9, 9), ones(6, 2, 3, 3))
    assert cost.macs == forward * (of_input + of_weight)
    assert cost.other_flops == (2 * 6 * 7 * 7 - 6) * of_bias
    assert cost.bytes_read == grad.bytes + w.bytes * of_input + x.bytes * of_weight


def test_the_gradient_of_a_bias_sums_over_all_but_the_channels():
    x, w, b = torch.ones(2, 4, 9, 9), torch.ones(6, 4, 3, 3), torch.ones(6, requires_grad=True)
    cost = entry("aten.convolution_backward", lambda: F.conv2d(x, w, b).sum().backward())
    assert (cost.macs, cost.other_flops) == (0, 2 * 7 * 7 * 6 - 6)
    assert int(b.grad.sum()) == cost.other_flops + 6


def test_padding_is_multiplied_like_any_other_position():
    x, w = ones(1, 3, 8, 8), ones(5, 3, 3, 3)
    padded = lambda x, w: F.conv2d(x, w, padding=1)
    assert totals(padded, x, w).macs == products(F.conv2d, ones(1, 3, 10, 10), w) > products(padded, x, w)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel", [3, 4])
def test_a_grouped_convolution_of_the_same_length_takes_its_kernel_at_every_position(kernel):
    # 9 positions of 2 samples, 6 channels out of 2 in each of 2 groups; an even kernel is padded by an operator before.
    x, w = ones(2, 4, 9), ones(6, 2, kernel)
    run = lambda x, w: F.conv1d(x, w, padding="same", groups=2)
    assert run(x, w).shape == (2, 6, 9)
    assert totals(run, x, w).macs == 2 * 9 * 6 * 2 * kernel
    # On a circle every position has a full window: the oracle can tell.
    circular = fill_with_ones(nn.Conv1d(4, 6, kernel, padding="same", groups=2, padding_mode="circular", bias=False))
    assert totals(run, x, w).macs == products(circular, x)


def test_a_convolution_over_time_adds_its_bias():
    x, w, b = ones(9, 2, 4), ones(3, 4, 6), torch.zeros(6, dtype=torch.float64)
    run = lambda x, w: torch.conv_tbc(x, w, b)
    assert arithmetic(totals(run, x, w)) == (products(run, x, w), 7 * 2 * 6, 0)


def test_a_complex_convolution_is_three_real_ones():
    # torch multiplies complex images by Gauss's trick before it dispatches.
    x, w = ones(2, 4, 9, 9), ones(6, 4, 3, 3)
    assert totals(F.conv2d, x.to(torch.complex64), w.to(torch.complex64)).macs == 3 * products(F.conv2d, x, w)


X2, W2, T2 = torch.ones(2, 4, 9, 9), torch.ones(6, 4, 3, 3), torch.ones(4, 6, 3, 3)
X3, W3, T3 = torch.ones(2, 4, 6, 6, 6), torch.ones(6, 4, 3, 3, 3), torch.ones(4, 6, 3, 3, 3)
B = torch.zeros(6)
KERNELS = {
    "aten._slow_conv2d_forward": lambda: torch._C._nn.thnn_conv2d(X2, W2, 3, B),
    "aten.slow_conv3d_forward": lambda: torch._C._nn.slow_conv3d(X3, W3, 3, B),
    "aten.slow_conv_dilated2d": lambda: torch._C._nn.slow_conv_dilated2d(X2, W2, 3, B, 1, 0, 2),
    "aten.slow_conv_dilated3d": lambda: torch._C._nn.slow_conv_dilated3d(X3, W3, 3, B, 1, 0, 2),
    "aten.slow_conv_transpose2d": lambda: torch._C._nn.slow_conv_transpose2d(X2, T2, 3, B),
    "aten.slow_conv_transpose3d": lambda: torch._C._nn.slow_conv_transpose3d(X3, T3, 3, B),
    "aten.mkldnn_convolution": lambda: torch.mkldnn_convolution(X2, W2, B, (0, 0), (1, 1), (1, 1), 1),
    "aten._nnpack_spatial_convolution": lambda: torch._nnpack_spatial_convolution(X2, W2, B, 0, 1),
    "aten._convolution": lambda: torch._convolution(
        X2, W2, B, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, False, False, False, False
    ),
}


@pytest.mark.parametrize("operator", KERNELS)
def test_the_kernels_of_a_device_count_what_they_multiply(operator):
    cost, result = entry(operator, KERNELS[operator]), KERNELS[operator]()
    assert (cost.macs, cost.other_flops) == (int(result.double().sum()), result.numel())


@pytest.mark.parametrize(
    ("attr", "algorithm", "activation"),
    [("none", "", lambda y: y), ("relu", "", torch.relu), ("gelu", "tanh", lambda y: F.gelu(y, approximate="tanh"))],
)
def test_a_fused_activation_costs_what_it_costs_alone(attr, algorithm, activation):
    unit = (0, 0), (1, 1), (1, 1), 1
    run = lambda: torch.ops.mkldnn._convolution_pointwise(X2, W2, B, *unit, attr, [], algorithm)
    assert arithmetic(totals(run)) == arithmetic(totals(lambda: activation(F.conv2d(X2, W2, B))))


def test_a_fused_sum_costs_what_it_costs_alone():
    other, unit = torch.ones(2, 6, 7, 7), ((0, 0), (1, 1), (1, 1), 1)
    run = lambda: torch.ops.mkldnn._convolution_pointwise.binary(X2, other, W2, B, *unit, "add", None, "relu", [], None)
    assert arithmetic(totals(run)) == arithmetic(totals(lambda: torch.relu(F.conv2d(X2, W2, B) + other)))


OUT2 = spec(2, 6, 7, 7)
ELSEWHERE = {
    "aten.cudnn_convolution.default": 0,
    "aten.miopen_convolution.default": 1,
    "aten.miopen_depthwise_convolution.default": 1,
    "aten._mps_convolution.default": 1,
    "aten._conv_depthwise2d.default": 1,
    "aten.convolution_overrideable.default": 1,
    "aten.cudnn_convolution_relu.default": 2,
    "aten.miopen_convolution_relu.default": 2,
    "aten.cudnn_convolution_add_relu.default": 4,
    "aten.miopen_convolution_add_relu.default": 4,
}


@pytest.mark.parametrize("operator", ELSEWHERE)
def test_a_convolution_of_another_device_counts_the_same(operator):
    # What is fused, for each result: bias; bias and ReLU; bias, scale, sum and ReLU.
    x = spec(2, 4, 9, 9)
    cost = entry_of(
        operator, (OUT2,), self=x, input=x, weight=spec(6, 4, 3, 3), bias=spec(6), stride=(1, 1), transposed=False,
        z=OUT2, alpha=0.5,
    )  # fmt: skip
    assert cost.macs == products(F.conv2d, X2, W2)
    assert cost.other_flops == ELSEWHERE[operator] * prod(OUT2.shape)


@pytest.mark.parametrize(("alpha", "flops"), [(None, 3), (1, 3), (1.0, 3), (2, 4), (FLOAT, 4)])
def test_a_scale_of_one_is_no_scale(alpha, flops):
    cost = entry_of(
        "aten.cudnn_convolution_add_relu.default", (OUT2,), self=spec(2, 4, 9, 9), weight=spec(6, 4, 3, 3),
        bias=spec(6), stride=(1, 1), z=OUT2, alpha=alpha,
    )  # fmt: skip
    assert cost.other_flops == flops * prod(OUT2.shape)


@pytest.mark.parametrize(
    ("operator", "biases"),
    [
        ("aten.cudnn_convolution_transpose.default", 0),
        ("aten._mps_convolution_transpose.default", 0),
        ("aten.miopen_convolution_transpose.default", 1),
    ],
)
def test_a_transposed_convolution_of_another_device_counts_the_same(operator, biases):
    out = spec(2, 6, 11, 11)
    cost = entry_of(operator, (out,), self=spec(2, 4, 9, 9), weight=spec(4, 6, 3, 3), bias=spec(6), stride=(1, 1))
    assert cost.macs == products(F.conv_transpose2d, X2, T2)
    assert cost.other_flops == biases * prod(out.shape)


@pytest.mark.parametrize(
    ("operator", "transposed"),
    [
        ("aten.mps_convolution_backward.default", False),
        ("aten.mps_convolution_transpose_backward.default", True),
        ("aten._slow_conv2d_backward.output_mask", False),
    ],
)
def test_the_backward_of_another_device_counts_the_same(operator, transposed):
    x, w, grad = (X2, T2, spec(2, 6, 11, 11)) if transposed else (X2, W2, OUT2)
    wanted = (True, True) if "transpose" in operator else (True, True, True)
    cost = entry_of(
        operator, (spec(*x.shape), spec(*w.shape)),
        self=spec(*x.shape), grad_output=grad, weight=spec(*w.shape), stride=(1, 1), output_mask=wanted,
    )  # fmt: skip
    run = F.conv_transpose2d if transposed else F.conv2d
    assert cost.macs == 2 * products(run, x, w)
    assert cost.other_flops == (0 if transposed else 2 * 7 * 7 * 6 - 6)


def test_resnet18_has_the_published_count():
    with torch.device("meta"):
        p = profiler.count(torchvision.models.resnet18().eval(), torch.empty(1, 3, 224, 224))
    assert p.totals.macs == 1_814_073_344
    assert p.is_complete
