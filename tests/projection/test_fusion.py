"""What a compiler merges, on models whose kernels can be told by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from projection.test_project import TOY
from torch import nn
from torch.nn import functional

import profiler
from profiler.projection.fusion import fuse
from profiler.projection.operator_classes import classify
from profiler.projection.precision import choose_precision
from profiler.projection.work import operator_work

N = 64
X = torch.empty(N, N, device="meta")


def kernels(model, *args, deployed=False):
    """Return the operators of each merged kernel, and the bytes that it moves."""
    profile = profiler.count(model.to("meta").eval(), *args)
    names = [entry.record.packet.removeprefix("aten.") for entry in profile.entries]
    return [
        ([names[record] for record in kernel.records], sum(operand.spec.bytes for operand in kernel.operands))
        for kernel in fuse(profile, deployed=deployed)
    ]


class Of(nn.Module):
    def __init__(self, function, *parts) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *args):
        return self.function(*self.parts, *args)


def test_a_chain_is_one_kernel_that_reads_once_and_writes_once():
    assert kernels(Of(lambda x: (x.relu() * 2).tanh()), X) == [(["relu", "mul", "tanh"], 2 * 4 * N * N)]


def test_what_a_later_kernel_reads_is_written():
    """A product reads the ReLU's result, and so does the tangent, which is merged: one read, two writes."""
    model = Of(lambda linear, x: (linear(y := x.relu()), y.tanh()), nn.Linear(N, N, bias=False))
    assert kernels(model, X) == [(["relu", "tanh"], 3 * 4 * N * N)]


def test_an_operator_in_place_is_merged_too():
    model = Of(lambda x: functional.relu_(x + 1).mul_(2))
    assert kernels(model, X) == [(["add", "relu_", "mul_"], 2 * 4 * N * N)]


def test_a_product_parts_two_kernels():
    model = Of(lambda linear, x: linear(x.relu()).tanh(), nn.Linear(N, N, bias=False))
    assert [names for names, _ in kernels(model, X)] == [["relu"], ["tanh"]]


def test_what_has_to_wait_for_a_product_is_not_merged_with_what_it_waits_for():
    """The sum reads the ReLU's result and a product of it: merged with the ReLU, each would wait for the other."""
    model = Of(lambda linear, x: linear(y := x.relu()) + y, nn.Linear(N, N, bias=False))
    assert [names for names, _ in kernels(model, X)] == [["relu"], ["add"]]


def test_other_sizes_are_not_merged():
    model = Of(lambda x: x.relu().mean(1).tanh())
    assert [names for names, _ in kernels(model, X)] == [["relu", "mean"], ["tanh"]]


def test_a_deployed_convolution_takes_its_batch_norm_and_activation():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
    x = torch.empty(1, 3, N, N, device="meta")
    eager = kernels(model, x)
    assert [names for names, _ in eager] == [["native_batch_norm", "relu_"]]
    (deployed,) = kernels(model, x, deployed=True)
    weights = 4 * (8 * 3 * 9 + 8 + 4 * 8)
    assert deployed == (["convolution", "native_batch_norm", "relu_"], 4 * (3 + 8) * N * N + weights)


@pytest.mark.parametrize(
    "convolution",
    [nn.Conv2d(64, 8, 1), nn.Conv2d(8, 8, 3, stride=2), nn.Conv2d(256, 256, 3, padding=1), nn.Conv2d(8, 64, 1)],
    ids=["larger input", "stride", "larger weight", "larger result"],
)
def test_a_batch_norm_is_folded_whatever_is_the_largest_operand(convolution):
    model = nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())
    merged = kernels(model, torch.empty(1, convolution.in_channels, 7, 7, device="meta"), deployed=True)
    assert [names for names, _ in merged] == [["convolution", "native_batch_norm", "relu"]]


def test_a_reduction_does_not_join_a_product_by_way_of_what_lies_between():
    model = Of(lambda linear, norm, x: norm(linear(x) + x), nn.Linear(N, N), nn.LayerNorm(N))
    merged = kernels(model, torch.empty(2 * N, N, device="meta"), deployed=True)
    assert [names for names, _ in merged] == [["addmm", "add"], ["native_layer_norm"]]


def test_a_deployed_resnet50_has_a_kernel_for_each_convolution_and_three_more():
    """53 convolutions; the pooling, the mean and the classifier."""
    profile = profiler.count(
        torchvision.models.resnet50().to("meta").eval(), torch.empty(1, 3, 224, 224, device="meta")
    )
    works = operator_work(profile, choose_precision(profile, TOY, None), "deployed")
    assert sum(work.calls for work in works if work.is_kernel) == 53 + 3


def test_a_deployed_kernel_has_one_convolution():
    model = Of(lambda a, b, x: a(x) + b(x), nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1))
    merged = kernels(model, torch.empty(1, 3, N, N, device="meta"), deployed=True)
    assert sorted(len(names) for names, _ in merged) == [1, 2]


@pytest.mark.parametrize("mode", ["eager", "channels_last", "compiled", "deployed"])
def test_no_mode_changes_the_arithmetic(mode):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 8, 1), nn.Softmax(1))
    profile = profiler.count(model.to("meta").eval(), torch.empty(2, 3, 16, 16, device="meta"))
    works = operator_work(profile, choose_precision(profile, TOY, None), mode)
    totals = profile.totals
    assert sum(work.calls * work.ops for work in works) == 2 * totals.macs
    assert sum(work.calls * work.vector_ops for work in works) == totals.other_flops + totals.transcendentals
    launched = sum(work.calls for work in works if work.is_kernel)
    assert launched == {"eager": 5, "channels_last": 5, "compiled": 4, "deployed": 3}[mode]


def test_a_compiled_model_moves_no_more_bytes():
    model = nn.Sequential(nn.Linear(N, N), nn.GELU(), nn.LayerNorm(N), nn.Linear(N, N)).to("meta")
    profile = profiler.count(model, X)
    scheme = choose_precision(profile, TOY, None)
    bytes_of = {m: sum(w.calls * w.bytes for w in operator_work(profile, scheme, m)) for m in ("eager", "compiled")}
    assert bytes_of["compiled"] < bytes_of["eager"]


def test_a_kernel_of_several_operators_has_their_names_and_another_its_own():
    model = nn.Sequential(nn.Linear(N, N), nn.ReLU(), nn.Sigmoid()).to("meta")
    profile = profiler.count(model, X)
    works = operator_work(profile, choose_precision(profile, TOY, None), "compiled")
    assert [work.operator for work in works] == ["relu + sigmoid", "aten.addmm"]


def test_a_profile_without_a_data_flow_runs_as_it_is():
    profile = profiler.count(nn.Sequential(nn.ReLU(), nn.Tanh()), X)
    assert fuse(profile + profile) == []


@pytest.mark.parametrize(
    ("layer", "class_"),
    [
        (nn.GroupNorm(2, 8), "group_norm"), (nn.LayerNorm([8, 4, 4]), "norm"), (nn.BatchNorm2d(8).eval(), "batch_norm"),
        (nn.Conv2d(8, 8, 1), "conv_1x1"), (nn.Conv2d(8, 8, 9, padding=4, groups=8), "depthwise_large"),
    ],
)  # fmt: skip
def test_the_class_of_a_layer(layer, class_):
    """The classes that the tables have a share of."""
    with torch.no_grad():
        profile = profiler.count(layer.to("meta"), torch.empty(2, 8, 4, 4, device="meta"))
    assert class_ in {classify(entry) for entry in profile.entries}


def test_a_group_norm_joins_what_it_reads_as_a_layer_norm_does():
    model = nn.Sequential(nn.ReLU(), nn.GroupNorm(2, 8)).to("meta").eval()
    profile = profiler.count(model, torch.empty(2, 8, 4, 4, device="meta"))
    works = operator_work(profile, choose_precision(profile, TOY, None), "compiled")
    assert sum(work.calls for work in works if work.is_kernel) == 1


def test_a_product_of_three_is_a_matrix_product():
    with profiler.profile() as p:
        nn.Bilinear(4, 4, 3)(torch.ones(2, 4), torch.ones(2, 4))
    assert [classify(entry) for entry in p.entries if entry.macs] == ["matmul"]
