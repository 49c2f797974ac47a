"""The rates of the matrix unit, against units × operations per clock × clock.

fp16 is checked against ``HardwareParameters`` in ``test_loader.py``. Here are all precisions of the matrix unit,
counted by multiprocessors or compute units, and the rates with fp16 accumulation.
"""

from __future__ import annotations

import pytest

from profiler.devices import all_devices

DEVICES = all_devices()
#: Vendors print two to four digits: the 20 TOPS of an Orin Nano are 20.48.
ROUNDING = 0.025

#: Dense operations per unit and clock; a multiply-add counts as two.
#: Sources: NVIDIA, Turing architecture in depth; the GA102 and Ada white papers' tables of one card, and gpumap's table
#: of the RTX 50 series, divided by units and clock (GeForce halves fp16 and fp8 with fp32 accumulation, a workstation
#: card does not); the data sheets of the Jetson modules; AMD, ROCm documentation of the MI350X;
#: public tables of the RX 9070 XT and of Strix Halo.
OPS_PER_CLOCK = {
    "xavier": {"fp16": 1024},
    "turing": {"fp16": 1024, "int8": 2048, "int4": 4096},
    "turing, GeForce": {"fp16": 512, "int8": 2048, "int4": 4096},
    "ga10x": {"tf32": 512, "bf16": 1024, "fp16": 1024, "int8": 2048, "int4": 4096},
    "ga10x, GeForce": {"tf32": 256, "bf16": 512, "fp16": 512, "int8": 2048, "int4": 4096},
    "orin": {"fp16": 2048, "int8": 4096},
    "ad10x": {"tf32": 512, "bf16": 1024, "fp16": 1024, "fp8": 2048, "int8": 2048, "int4": 4096},
    "ad10x, GeForce": {"tf32": 256, "bf16": 512, "fp16": 512, "fp8": 1024, "int8": 2048, "int4": 4096},
    "gb20x": {"tf32": 512, "bf16": 1024, "fp16": 1024, "fp8": 2048, "int8": 2048, "fp4": 4096},
    "gb20x, GeForce": {"tf32": 256, "bf16": 512, "fp16": 512, "fp8": 1024, "int8": 2048, "fp4": 4096},
    "rdna3.5": {"bf16": 512, "fp16": 512},
    "rdna4": {"bf16": 1024, "fp16": 1024, "fp8": 2048, "int8": 2048, "int4": 4096},
    "cdna4": {"bf16": 4096, "fp16": 4096, "fp8": 8192, "int8": 8192, "fp4": 16384},
}
#: Multiprocessors or compute units; their architecture; and the clock in MHz.
UNITS = {
    "jetson-xavier-nx-8gb": (6, "xavier", 1100),
    "quadro-rtx-6000": (72, "turing", 1770),
    "quadro-rtx-8000": (72, "turing", 1770),
    "titan-rtx": (72, "turing", 1770),
    "rtx-2080-ti": (68, "turing, GeForce", 1635),
    "rtx-a5000": (64, "ga10x", 1695),
    "rtx-a6000": (84, "ga10x", 1800),
    "a40": (84, "ga10x", 1740),
    "rtx-3060-12gb": (28, "ga10x, GeForce", 1777),
    "rtx-3080-10gb": (68, "ga10x, GeForce", 1710),
    "rtx-3090": (82, "ga10x, GeForce", 1695),
    "jetson-orin-nano-8gb": (8, "orin", 625),
    "jetson-orin-nano-super-8gb": (8, "orin", 1020),
    "rtx-6000-ada": (142, "ad10x", 2505),
    "rtx-4060": (24, "ad10x, GeForce", 2460),
    "rtx-4060-ti-8gb": (34, "ad10x, GeForce", 2535),
    "rtx-4060-ti-16gb": (34, "ad10x, GeForce", 2535),
    "rtx-4070": (46, "ad10x, GeForce", 2475),
    "rtx-4070-super": (56, "ad10x, GeForce", 2475),
    "rtx-4070-ti": (60, "ad10x, GeForce", 2610),
    "rtx-4070-ti-super": (66, "ad10x, GeForce", 2610),
    "rtx-4080": (76, "ad10x, GeForce", 2505),
    "rtx-4090": (128, "ad10x, GeForce", 2520),
    "rtx-pro-6000-blackwell-server": (188, "gb20x", 2430),
    "rtx-pro-6000-blackwell-workstation": (188, "gb20x", 2617),
    "rtx-pro-6000-blackwell-max-q": (188, "gb20x", 2280),
    "rtx-5070": (48, "gb20x, GeForce", 2512),
    "rtx-5070-ti": (70, "gb20x, GeForce", 2452),
    "rtx-5080": (84, "gb20x, GeForce", 2617),
    "rtx-5090": (170, "gb20x, GeForce", 2407),
    "radeon-890m": (16, "rdna3.5", 2900),
    "radeon-8060s": (40, "rdna3.5", 2900),
    "rx-9070-xt": (64, "rdna4", 2970),
    "mi350x": (256, "cdna4", 2200),
    "mi355x": (256, "cdna4", 2400),
}
#: int8 of these is a sum over engines: only the GPU's share follows from its units.
ENGINES = {
    "jetson-orin-nx-16gb": (8, "orin", 918),
    "jetson-orin-nx-super-16gb": (8, "orin", 1173),
    "jetson-agx-orin-32gb": (14, "orin", 930),
    "jetson-agx-orin-64gb": (16, "orin", 1300),
}
#: Sums over the GPU and two accelerators, whose shares no source states.
SUMS = [("jetson-xavier-nx-8gb", "int8")]
GEFORCE = [name for name, (_, architecture, _) in UNITS.items() if architecture.endswith("GeForce")]


def rate(units: int, architecture: str, mhz: int, precision: str) -> float:
    """Units × operations per clock × clock, in operations per second."""
    return units * OPS_PER_CLOCK[architecture][precision] * mhz * 1e6


def matrix_rates() -> list[tuple[str, str]]:
    """List the devices of ``UNITS`` with each precision that their matrix unit computes."""
    return [
        (name, precision)
        for name in UNITS
        for precision in DEVICES[name].peak_ops_per_s
        if not DEVICES[name].is_vector(precision) and (name, precision) not in SUMS
    ]


@pytest.mark.parametrize(("name", "precision"), matrix_rates())
def test_a_matrix_rate_is_units_times_operations_times_clock(name, precision):
    assert DEVICES[name].peak(precision) == pytest.approx(rate(*UNITS[name], precision), rel=ROUNDING)


@pytest.mark.parametrize("name", GEFORCE)
def test_a_geforce_card_is_twice_as_fast_with_fp16_accumulation(name):
    for precision, listed in DEVICES[name].fp16_sum_ops_per_s.items():
        assert listed == pytest.approx(2 * rate(*UNITS[name], precision), rel=ROUNDING)


@pytest.mark.parametrize("name", ENGINES)
def test_the_share_of_the_gpu_in_a_sum_of_engines(name):
    device = DEVICES[name]
    assert device.int8_engines["gpu"] == pytest.approx(rate(*ENGINES[name], "int8"), rel=0.015)
    assert sum(device.int8_engines.values()) == pytest.approx(device.peak("int8"), rel=0.015)
    assert device.peak("fp16") == pytest.approx(rate(*ENGINES[name], "fp16"), rel=0.015)
