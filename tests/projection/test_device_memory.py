"""The memory that a run needs, the usable memory of a device, and the largest batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.devices import find_device
from profiler.errors import PlanError
from profiler.projection import project
from profiler.projection.device_memory import largest_batch, memory_needed, usable_bytes
from profiler.projection.precision import PrecisionScheme, parse_precision

FP32 = PrecisionScheme("fp32", "fp32", "fp32", "fp32", converts=False)


def linear(batch: int) -> profiler.Profile:
    return profiler.count(nn.Linear(100, 50, device="meta"), torch.empty(batch, 100, device="meta"))


def test_a_linear_layer_needs_its_weights_input_and_result():
    needed = memory_needed(linear(1000), FP32)
    assert needed.value == 4 * (100 * 50 + 50 + 1000 * 100 + 1000 * 50)


def test_half_the_bits_need_half_the_bytes():
    assert memory_needed(linear(1000), parse_precision("fp16")).value == memory_needed(linear(1000), FP32).value / 2


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:torch.ao.quantization is deprecated")
def test_the_activations_of_a_quantized_model_stay_as_they_were_traced():
    """Weights of 8 bits, a bias of 16, and float32 around the layer."""
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(64, 32)), {nn.Linear})
    with profiler.profile(model) as p:
        model(torch.ones(8, 64))
    assert memory_needed(p.result, parse_precision("fp16")).value == 64 * 32 + 2 * 32 + 4 * 8 * (64 + 32)


def test_an_l40s_gives_what_it_shows_with_ecc_on():
    assert usable_bytes(find_device("l40s")) == 46068 * 2**20


@pytest.mark.parametrize("usable", [0, 1, 99, 100, 101, 1234, 10**5])
def test_the_largest_batch_fits_and_the_next_does_not(usable):
    def needed(batch: int) -> int:
        return 50 + 7 * batch

    batch = largest_batch(needed, usable)
    assert batch == 0 or needed(batch) <= usable
    assert needed(batch + 1) > usable


def test_memory_that_does_not_grow_has_no_largest_batch():
    with pytest.raises(PlanError, match="does not grow"):
        largest_batch(lambda _: 1, 100)


def test_a_70b_model_does_not_fit_an_l4_in_sixteen_bits():
    with torch.device("meta"):
        model = nn.Linear(100_000, 700_000, bias=False)
    profile = profiler.count(model, torch.empty(1, 100_000, device="meta"))
    projection = project(profile, find_device("l4"), precision="bf16")
    assert not projection.fits
    assert projection.memory_share.value == pytest.approx(140e9 / usable_bytes(find_device("l4")), rel=1e-3)
