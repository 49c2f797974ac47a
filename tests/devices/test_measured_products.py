"""The fastest products that were measured, against the shares of the peak that their sources print."""

from __future__ import annotations

import pytest

from profiler.devices import all_devices
from profiler.devices.loader import read_devices
from profiler.errors import DeviceError

DEVICES = all_devices()
#: Per cent of the peak that a product reaches, as printed beside the rates: Machine Learning Engineering, Maximum
#: Achievable Matmul FLOPS. Of the MI355X and of those of aiconfigurator none is printed.
PRINTED = {
    ("a100-sxm4-40gb", "bf16"): 86.9, ("a100-sxm4-80gb", "bf16"): 86.9, ("a100-pcie-40gb", "bf16"): 81.1,
    ("a100-pcie-80gb", "bf16"): 81.1, ("gh200-96gb", "bf16"): 83.6, ("gh200-96gb", "fp8"): 77.6,
    ("h100-sxm5-80gb", "bf16"): 80.3, ("h100-sxm5-80gb", "fp8"): 70.9, ("mi325x", "bf16"): 60.4,
    ("mi300x", "bf16"): 51.4, ("mi250x", "bf16"): 76.7,
}  # fmt: skip
MEASURED = [name for name, device in DEVICES.items() if device.product_ops_per_s]


@pytest.mark.parametrize(("name", "precision"), PRINTED)
def test_the_reach_is_the_printed_one(name, precision):
    assert DEVICES[name].reach(precision) == pytest.approx(PRINTED[name, precision] / 100, rel=0.01)


@pytest.mark.parametrize("name", MEASURED)
def test_no_product_is_faster_than_the_peak(name):
    device = DEVICES[name]
    assert "bf16" in device.product_ops_per_s, "which stands for precisions that were not measured"
    assert all(rate <= 1.001 * device.peak(precision) for precision, rate in device.product_ops_per_s.items())


def test_a_precision_that_was_not_measured_reaches_what_16_bits_reach():
    h100 = DEVICES["h100-sxm5-80gb"]
    assert h100.reach("int8") == h100.reach("fp16") == h100.reach("bf16") != h100.reach("fp8")


def test_a_product_says_nothing_of_vector_units_and_of_other_devices():
    assert DEVICES["h100-sxm5-80gb"].reach("fp32") is None
    assert DEVICES["rtx-3090"].reach("fp16") is None


def test_a_system_reaches_what_its_devices_reach():
    systems = [device for device in DEVICES.values() if device.of in MEASURED and device.product_ops_per_s]
    assert systems
    for system in systems:
        assert system.reach("bf16") == pytest.approx(DEVICES[system.of].reach("bf16"))


BOARD = """
vendor = "own"
sources = {{ me = {{ title = "a bench" }} }}
devices.board = {{ name = "A board", kind = "datacenter GPU", year = 2025, confidence = "high", sources = ["me"], \
peak_ops_per_s = {{ bf16 = 100e12, fp16 = 100e12 }}, product_ops_per_s = {{ {} = 40e12 }} }}
"""


def test_a_product_in_either_precision_of_16_bits_tells_of_both(tmp_path):
    (tmp_path / "board.toml").write_text(BOARD.format("fp16"), encoding="utf-8")
    board = read_devices(tmp_path / "board.toml")["board"]
    assert board.reach("bf16") == board.reach("fp16") == 0.4


def test_a_product_in_a_precision_without_a_rate_is_refused(tmp_path):
    (tmp_path / "board.toml").write_text(BOARD.format("int8"), encoding="utf-8")
    with pytest.raises(DeviceError, match="product_ops_per_s has int8, of which peak_ops_per_s has no rate"):
        read_devices(tmp_path / "board.toml")
