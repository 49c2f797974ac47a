"""This machine as a device: its cache, its rates, and the projections that use them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError
from profiler.projection import project
from profiler.projection import this_machine as package
from profiler.projection.measured_machine import MeasuredMachine, interpolate
from profiler.projection.this_machine import machine_identity, measure_this_machine

FLAT = ((1.0, 50e9), (1e12, 50e9))
MACHINE = MeasuredMachine(
    identity={"device": "cpu", "processor": "Z80", "threads": "1", "torch": "2"}, date="2026-01-02", memory_bytes=2**33,
    gemm={"float32": FLAT}, convolution=FLAT, depthwise=((1.0, 1e9), (1e12, 1e9)),
    bandwidth=((1e3, 40e9), (1e6, 40e9), (1e9, 10e9)), floor_s=1e-6,
)  # fmt: skip


@pytest.fixture
def benchmark_calls(tmp_path, monkeypatch):
    """Use an empty cache and a benchmark that takes no time; return the list of its calls."""
    calls = []

    def benchmark(device):
        calls.append(device)
        return {name: getattr(MACHINE, name) for name in ("gemm", "convolution", "depthwise", "bandwidth", "floor_s")}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(package, "benchmark", benchmark)
    return calls


def test_a_machine_is_measured_once(benchmark_calls, tmp_path):
    first, again = measure_this_machine(), measure_this_machine()
    assert len(benchmark_calls) == 1
    assert first == again
    assert first.identity == machine_identity(torch.device("cpu"))
    assert json.loads((tmp_path / "profiler" / "local-cpu.json").read_text())["date"] == first.date


@pytest.mark.parametrize("change", ["{", '{"identity": {}}', "other"])
def test_what_was_kept_of_another_machine_or_cut_short_is_measured_anew(benchmark_calls, tmp_path, change):
    measure_this_machine()
    path = tmp_path / "profiler" / "local-cpu.json"
    cached = json.loads(path.read_text())
    cached["identity"]["threads"] = "99"
    path.write_text(json.dumps(cached) if change == "other" else change)
    measure_this_machine()
    assert len(benchmark_calls) == 2


def test_a_cache_is_made_with_the_folders_above_it(benchmark_calls, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    assert measure_this_machine() == measure_this_machine()
    assert len(benchmark_calls) == 1


def test_it_is_measured_anew_when_asked(benchmark_calls):
    measure_this_machine()
    measure_this_machine(remeasure=True)
    assert len(benchmark_calls) == 2


@pytest.mark.parametrize("name", ["local:moon", "local:meta"])
def test_a_device_that_is_not_here_is_an_error(benchmark_calls, name):
    with pytest.raises(InputError, match="this machine has no device"):
        measure_this_machine(name)


def test_a_curve_is_straight_in_the_logarithm_and_flat_beyond_its_ends():
    curve = ((10.0, 1.0), (1000.0, 3.0))
    assert [interpolate(curve, size) for size in (1, 10, 100, 1000, 10**6)] == [1, 1, 2, 3, 3]


def test_its_peaks_are_the_largest_rates_and_say_when_they_were_measured():
    device = MACHINE.device
    assert (device.peak("fp32"), device.bandwidth_bytes_per_s) == (50e9, 10e9)
    assert "2026-01-02" in device.cite("fp32")
    assert device.confidence == "measured"


def test_the_estimate_reads_the_curves():
    """2·256³ operations at 50 GFLOP/s, after 1 µs; three matrices of 256² numbers at about 38 GB/s take less."""
    model = nn.Linear(256, 256, bias=False, device="meta")
    projection = project(profiler.count(model, torch.empty(256, 256, device="meta")), MACHINE.device, model=MACHINE)
    assert projection.estimate_s.value == pytest.approx(2 * 256**3 / 50e9 + 1e-6)
    assert "2026-01-02" in projection.estimate_s.source


def test_a_depthwise_convolution_has_a_curve_of_its_own():
    x = torch.empty(1, 64, 8, 8, device="meta")
    dense, each = (nn.Conv2d(64, 64, 3, groups=g, bias=False, device="meta") for g in (1, 64))
    rates = [2 * p.totals.macs / project(p, MACHINE.device, model=replace(MACHINE, floor_s=1e-12)).estimate_s.value
             for p in (profiler.count(dense, x), profiler.count(each, x))]  # fmt: skip
    assert rates == [pytest.approx(50e9, rel=1e-3), pytest.approx(1e9, rel=1e-3)]


@pytest.mark.slow
def test_a_bound_on_this_machine_is_not_beaten_by_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    machine = measure_this_machine()
    model, x = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(4))), torch.randn(512, 1024)
    projection = project(profiler.count(model, x), machine.device, model=machine)
    assert projection.bound_s.value <= profiler.measure(model, x).seconds
