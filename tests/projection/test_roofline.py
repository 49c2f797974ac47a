"""The compute time of the two engines, and the work of each, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from projection.test_project import TABLE, TOY, device_pass_of
from torch import nn

import profiler
from profiler.projection import project
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.roofline import RooflineTime

N = 1024
#: Without a bandwidth, so that compute alone counts. Vectors: 1 TFLOP/s, and twice that in pairs of 16 bits.
DRY = replace(TOY, bandwidth_bytes_per_s=None)


def project_layer(model, *shape, device=DRY, precision=None, dtype=torch.float32, mode="eager") -> DevicePass:
    profile = profiler.count(model.to("meta", dtype), torch.empty(*shape, device="meta", dtype=dtype))
    return device_pass_of(profile, device, precision, mode=mode, model=TABLE)


def layer(**options) -> nn.Module:
    return nn.Sequential(nn.Linear(N, N, **options), nn.ReLU())


def test_in_fp32_products_and_the_rest_share_the_vector_unit():
    """2·N³ operations at 1 TFLOP/s; N² additions of the bias and N² compares at 2."""
    device_pass = project_layer(layer(), N, N)
    assert device_pass.bound.compute_s == pytest.approx(2 * N**3 / 1e12 + 2 * N**2 / 2e12)


def test_a_matrix_unit_works_beside_the_vector_unit():
    """In fp16 the products take 4 TFLOP/s of their own; an elementwise model is left with the vector unit."""
    assert project_layer(layer(), N, N, precision="fp16").bound.compute_s == pytest.approx(2 * N**3 / 4e12)
    assert project_layer(nn.ReLU(), N, N, precision="fp16").bound.compute_s == pytest.approx(N**2 / 2e12)


def test_a_dtype_without_a_rate_computes_on_the_vector_unit():
    """A product in fp64, which is not in the sheet: 2·N³ at 2 TFLOP/s bound, at half of 1 estimated."""
    single = project_layer(nn.Linear(N, N, bias=False), N, N)
    model = nn.Linear(N, N, bias=False, device="meta", dtype=torch.float64)
    double = profiler.count(model, torch.empty(N, N, device="meta", dtype=torch.float64))
    device_pass = DevicePass.of(ProfileWork(double), DRY, single.scheme, mode="eager", model=TABLE)
    assert device_pass.bound.compute_s == pytest.approx(2 * N**3 / 2e12)
    assert device_pass.estimate.seconds == pytest.approx(2 * N**3 / 0.5e12 + 5e-6)


def test_an_operator_that_is_called_twice_counts_twice():
    one = nn.Linear(N, N)
    rows = [
        project(project_layer(model, 1, N, device=TOY).profile, TOY).operators[0]
        for model in (one, nn.Sequential(one, one))
    ]
    assert rows[0].ops == 2 * N**2 + N
    assert rows[0].bytes == 4 * (N**2 + N + N + N)
    for name in ("calls", "ops", "bytes", "bound_s", "estimate_s"):
        assert getattr(rows[1], name) == pytest.approx(2 * getattr(rows[0], name))


def test_only_contractions_quantise_what_they_read():
    """Under int8 the N² numbers before the product are read in 16 bits and written in 8; those before the ReLU not."""
    works = project_layer(layer(bias=False), N, N, device=TOY, precision="int8").works
    assert [(w.operator, w.quantise_bytes) for w in works if w.is_kernel] == [("aten.mm", 3 * N**2), ("aten.relu", 0)]


def test_a_convolution_with_few_channels_is_depthwise_only_in_groups():
    layers = [nn.Conv2d(4, 8, 3, groups=groups) for groups in (1, 4)]
    works = [work for one in layers for work in project_layer(one, 1, 4, 8, 8).works]
    assert [work.is_depthwise for work in works] == [False, True]


def test_a_deployed_model_keeps_narrow_activations_between_its_operators():
    """Under int8, a product of N³ reads N² weights and N² inputs and writes N², a byte each."""
    (work,) = project_layer(nn.Linear(N, N, bias=False), N, N, device=TOY, precision="int8", mode="deployed").works
    assert (work.bytes, work.quantise_bytes) == (3 * N**2, 0)


@pytest.mark.parametrize(("compute_s", "memory_s", "limit"), [(2.0, 1.0, "compute"), (1.0, 2.0, "bandwidth")])
def test_the_longer_of_two_times_that_overlap_is_the_limit(compute_s, memory_s, limit):
    time = RooflineTime(compute_s, memory_s)
    assert (time.seconds, time.limit) == (2.0, limit)
