"""The rates of the vector unit, against units × operations per clock × clock.

fp32 is checked against ``HardwareParameters`` in ``test_loader.py``. Here are the other precisions that the vector unit
computes: fp64, and the narrow precisions that are listed with the vector unit's rate.
"""

from __future__ import annotations

import pytest

from profiler.devices import all_devices

DEVICES = all_devices()
#: Vendors print two to four digits: the 34 TFLOPS of an H100 are 33.45.
ROUNDING = 0.02

#: Operations per unit and clock; a multiply-add counts as two.
#: Sources: NVIDIA, CUDA C++ Programming Guide, throughput of native arithmetic instructions, by compute capability (an
#: instruction on packed int8 does four multiply-adds); AMD, CDNA and RDNA white papers, per compute unit; AVX-512 with
#: one (Zen 4) or two (Sapphire Rapids) 512-bit multiply-adds per core; metal-benchmarks: a core of an Apple GPU has 128
#: lanes, as fast in fp16 as in fp32; an Xe2 core has 8 engines of 16 fp32 lanes, and twice that rate in fp16.
OPS_PER_CLOCK = {
    "cc5.3": {"fp16": 512},
    "cc6.0": {"fp64": 64, "fp16": 256},
    "cc6.1": {"fp64": 8, "fp16": 4, "int8": 1024},
    "cc7.0": {"fp64": 64},
    "cc7.5": {"fp64": 4},
    "cc8.0": {"fp64": 64, "fp16": 512},
    "cc8.9": {"fp64": 4},
    "cc9.0": {"fp64": 128},
    "cc12.0": {"fp32": 256},
    "cdna1": {"fp64": 64},
    "cdna2": {"fp64": 128},
    "cdna3": {"fp64": 128},
    "rdna3": {"fp64": 8},
    "rdna3.5": {"fp16": 256},
    "xe2": {"fp16": 512},
    "apple gpu": {"fp16": 256},
    "zen4": {"fp64": 16, "fp32": 32, "bf16": 64, "int8": 128},
    "sapphire rapids": {"fp64": 32},
}
#: Multiprocessors, compute units or cores; their architecture; and the clock in MHz.
UNITS = {
    "jetson-nano": (1, "cc5.3", 921),
    "p100-pcie-16gb": (56, "cc6.0", 1303),
    "p100-sxm2-16gb": (56, "cc6.0", 1480),
    "gtx-1080-ti": (28, "cc6.1", 1582),
    "v100-sxm2-16gb": (80, "cc7.0", 1530),
    "v100-sxm2-32gb": (80, "cc7.0", 1530),
    "v100-pcie-16gb": (80, "cc7.0", 1380),
    "v100-pcie-32gb": (80, "cc7.0", 1380),
    "t4": (40, "cc7.5", 1590),
    "quadro-rtx-6000": (72, "cc7.5", 1770),
    "quadro-rtx-8000": (72, "cc7.5", 1770),
    "titan-rtx": (72, "cc7.5", 1770),
    "rtx-2080-ti": (68, "cc7.5", 1635),
    "a30": (56, "cc8.0", 1440),
    "a100-sxm4-40gb": (108, "cc8.0", 1410),
    "a100-sxm4-80gb": (108, "cc8.0", 1410),
    "a100-pcie-40gb": (108, "cc8.0", 1410),
    "a100-pcie-80gb": (108, "cc8.0", 1410),
    "rtx-4090": (128, "cc8.9", 2520),
    "h100-sxm5-80gb": (132, "cc9.0", 1980),
    "h200-sxm-141gb": (132, "cc9.0", 1980),
    "gh200-96gb": (132, "cc9.0", 1980),
    "h100-pcie-80gb": (114, "cc9.0", 1755),
    "h100-nvl-94gb": (132, "cc9.0", 1785),
    "rtx-pro-6000-blackwell-server": (188, "cc12.0", 2617),
    "mi100": (120, "cdna1", 1502),
    "mi210": (104, "cdna2", 1700),
    "mi250x": (220, "cdna2", 1700),
    "mi300x": (304, "cdna3", 2100),
    "mi325x": (304, "cdna3", 2100),
    "mi355x": (256, "cdna3", 2400),
    "rx-7900-xtx": (96, "rdna3", 2498),
    "radeon-890m": (16, "rdna3.5", 2900),
    "radeon-8060s": (40, "rdna3.5", 2900),
    "arc-140v": (8, "xe2", 1950),
    "apple-m1": (8, "apple gpu", 1278),
    "apple-m1-pro": (16, "apple gpu", 1278),
    "apple-m1-max": (32, "apple gpu", 1278),
    "apple-m1-ultra": (64, "apple gpu", 1278),
    "apple-m2": (10, "apple gpu", 1398),
    "apple-m2-pro": (19, "apple gpu", 1398),
    "apple-m2-max": (38, "apple gpu", 1398),
    "apple-m2-ultra": (76, "apple gpu", 1398),
    "apple-m3": (10, "apple gpu", 1398),
    "apple-m3-max": (40, "apple gpu", 1398),
    "apple-m4": (10, "apple gpu", 1470),
    "apple-m4-pro": (20, "apple gpu", 1470),
    "apple-m4-max": (40, "apple gpu", 1678),
    "ryzen-9-7950x": (16, "zen4", 4500),
    "epyc-9654": (96, "zen4", 2400),
    "xeon-8480plus": (56, "sapphire rapids", 2000),
}


def vector_rates() -> list[tuple[str, str, float]]:
    """List device, precision and rate of the vector unit; of the dense peaks, all but fp32."""
    return [
        (name, precision, rate)
        for name, device in DEVICES.items()
        if device.count == 1
        for precision, rate in (
            *device.vector_ops_per_s.items(),
            *((p, r) for p, r in device.peak_ops_per_s.items() if p != "fp32" and device.is_vector(p)),
        )
    ]


RATES = vector_rates()


@pytest.mark.parametrize(("name", "precision", "rate"), RATES, ids=[f"{name}-{p}" for name, p, _ in RATES])
def test_a_vector_rate_is_units_times_operations_times_clock(name, precision, rate):
    units, architecture, mhz = UNITS[name]
    assert rate == pytest.approx(units * OPS_PER_CLOCK[architecture][precision] * mhz * 1e6, rel=ROUNDING)


def test_every_device_of_the_table_lists_a_vector_rate():
    assert {name for name, _, _ in RATES} == set(UNITS)
