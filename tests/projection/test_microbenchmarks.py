"""The FLOPs and bytes that the micro-benchmarks state, against those that are counted while they run."""

from __future__ import annotations

import pytest
import torch

import profiler
from profiler.projection import microbenchmarks
from profiler.projection.microbenchmarks import benchmark

CPU = torch.device("cpu")


@pytest.fixture
def rates(monkeypatch):
    """Benchmark with a fake clock: one second per FLOP of a contraction, or per byte of another operator."""
    monkeypatch.setattr(microbenchmarks, "_SIDES", {"cpu": (8, 16, 32)})
    monkeypatch.setattr(microbenchmarks, "_IMAGES", {"cpu": ((4, 6), (8, 5))})
    monkeypatch.setattr(microbenchmarks, "_COPIES", {"cpu": (1024, 4096)})

    def best(call, device):
        with profiler.profile() as p:
            call()
        return 2 * p.totals.macs or p.totals.bytes_read + p.totals.bytes_written

    monkeypatch.setattr(microbenchmarks, "_fastest_s", best)
    return benchmark(CPU)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_sizes_ascend_as_the_interpolation_between_them_needs(device):
    for sizes in (microbenchmarks._SIDES[device], microbenchmarks._COPIES[device]):
        assert len(sizes) > 1
        assert list(sizes) == sorted(set(sizes))


def test_every_rate_is_one_a_second(rates):
    curves = [*rates["gemm"].values(), rates["convolution"], rates["depthwise"], rates["bandwidth"]]
    assert len(curves) == 6
    assert {rate for curve in curves for _, rate in curve} == {1.0}


def test_sizes_are_operations_and_bytes(rates):
    """2·n³; 2·9·C²·H² of a dense and 2·9·C·H² of a depthwise convolution."""
    assert [size for size, _ in rates["gemm"]["float32"]] == [2 * n**3 for n in (8, 16, 32)]
    assert [size for size, _ in rates["convolution"]] == [18 * 4**2 * 6**2, 18 * 8**2 * 5**2]
    assert [size for size, _ in rates["depthwise"]] == sorted([18 * 4 * 6**2, 18 * 8 * 5**2])
    assert [size for size, _ in rates["bandwidth"]] == [1024, 4096]


def test_the_floor_is_that_of_one_launch(rates):
    """A ReLU of 8 numbers reads 32 bytes and writes 32."""
    assert rates["floor_s"] == 64


def test_a_dtype_that_is_emulated_is_left_out(monkeypatch):
    monkeypatch.setattr(microbenchmarks, "_SIDES", {"cpu": (8, 16, 32)})
    monkeypatch.setattr(
        microbenchmarks, "_gemm", lambda device, dtype, side: (side, 1.0 if dtype == torch.bfloat16 else 10.0)
    )
    assert list(microbenchmarks._gemm_curves(CPU)) == ["float32", "float16"]
