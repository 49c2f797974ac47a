"""Every device has a source and plausible figures, which agree with its hardware parameters if these are listed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from profiler.devices import all_devices, read_devices
from profiler.errors import DeviceError

DEVICES = all_devices()
IDS = sorted(DEVICES)
#: Vendors print two to four digits, and boost clocks in steps: an Xavier's 11 TFLOPS are 11.28, an L4's 121 are 125.
ROUNDING = 0.04


def test_the_catalogue_has_every_device_that_was_collected():
    assert len(DEVICES) == 151
    assert len({d.vendor for d in DEVICES.values()}) == 11


@pytest.mark.parametrize("name", IDS)
def test_a_device_says_where_its_figures_come_from(name):
    device = DEVICES[name]
    assert device.sources
    assert all(source.title for source in device.sources)
    assert any(source.read for source in device.sources) or "all" in device.not_read, "from memory, and does not say so"


@pytest.mark.parametrize("name", IDS)
def test_a_figure_from_memory_is_cited_as_such(name):
    device = DEVICES[name]
    for figure in device.not_read:
        assert device.cite(figure) == f"{figure}: from memory, low confidence"


def test_a_figure_of_low_confidence_is_marked_and_one_of_high_is_not():
    assert DEVICES["apple-m4"].cite("fp16").endswith("low confidence")
    assert "confidence" not in DEVICES["h100-sxm5-80gb"].cite("bf16")


@pytest.mark.parametrize("name", [n for n in IDS if DEVICES[n].parts and DEVICES[n].parts.bandwidth_bytes_per_s])
def test_bandwidth_is_bus_width_times_pin_rate(name):
    device = DEVICES[name]
    assert device.parts.bandwidth_bytes_per_s == pytest.approx(device.bandwidth_bytes_per_s, rel=ROUNDING)


@pytest.mark.parametrize("name", [n for n in IDS if DEVICES[n].parts and DEVICES[n].parts.fp32_ops_per_s])
def test_the_fp32_peak_is_lanes_times_operations_times_clock(name):
    device = DEVICES[name]
    assert device.parts.fp32_ops_per_s == pytest.approx(device.peak("fp32"), rel=ROUNDING)


@pytest.mark.parametrize("name", [n for n in IDS if DEVICES[n].parts and DEVICES[n].parts.fp16_ops_per_s])
def test_the_fp16_peak_is_matrix_units_times_operations_times_clock(name):
    device = DEVICES[name]
    assert device.parts.fp16_ops_per_s == pytest.approx(device.peak("fp16"), rel=ROUNDING)


def test_most_devices_have_a_second_road():
    assert sum(d.parts is not None for d in DEVICES.values()) >= 55


@pytest.mark.parametrize("name", IDS)
def test_a_sparse_rate_is_a_multiple_of_the_dense_one(name):
    """Two to one everywhere, four to one on Trainium; B300 cut its dense fp4 less, and rounding takes some."""
    device = DEVICES[name]
    for precision, sparse in device.sparse_ops_per_s.items():
        dense = dict(device.peak_ops_per_s).get(precision)
        if dense is not None:
            assert 1.28 <= sparse / dense <= 4


@pytest.mark.parametrize("name", IDS)
def test_fewer_bits_are_never_slower_on_a_matrix_unit(name):
    """But on the GTX 1080 Ti, whose fp16 is 1/64 of fp32, and on Gaudi 3, whose fp16 is a quarter of its bf16."""
    device = DEVICES[name]
    peaks = dict(device.peak_ops_per_s)
    order = [p for p in ("fp32", "tf32", "bf16", "fp8", "fp4") if p in peaks]
    assert all(peaks[a] <= peaks[b] * 1.001 for a, b in pairwise(order))


def test_a_system_has_the_sums_of_its_devices():
    system, device = DEVICES["dgx-a100-320gb"], DEVICES["a100-sxm4-40gb"]
    assert system.memory_gib == 320
    assert system.bandwidth_bytes_per_s == pytest.approx(12.44e12)
    assert system.peak("bf16") == 8 * device.peak("bf16")
    assert system.sparse_ops_per_s["fp16"] == pytest.approx(4.992e15), "the 5 petaFLOPS of AI"
    assert DEVICES["dgx-superpod-a100-140"].sparse_ops_per_s["fp16"] == pytest.approx(0.7e18, rel=0.002)


def test_a_missing_precision_is_an_error_that_says_what_there_is():
    with pytest.raises(DeviceError, match="t4 has no dense rate for 'bf16'; it has fp64, fp32, fp16, int8, int4"):
        DEVICES["t4"].peak("bf16")


def test_a_device_whose_rates_are_disputed_says_so():
    with pytest.raises(DeviceError, match="it has none that any source agrees on"):
        DEVICES["ascend-910b"].peak("fp16")


@pytest.mark.parametrize(
    ("device", "precision", "ratio"),
    [("rtx-4090", "fp32", 82), ("h100-sxm5-80gb", "fp32", 20), ("h100-sxm5-80gb", "tf32", 147)],
)
def test_the_ratios_of_the_documents_have_a_precision_that_makes_them_true(device, precision, ratio):
    """`tops` prints 82:1 (81.9), 20:1 and 147:1 (147.7) without a precision."""
    assert abs(DEVICES[device].ridge_ops_per_byte(precision) - ratio) < 1
    assert all(abs(DEVICES[device].ridge_ops_per_byte(p) - ratio) > 10 for p in ("bf16", "fp8", "int8"))


def test_the_ratio_of_the_7950x_is_true_of_the_figures_that_its_document_prints():
    """40:1 in fp32 from 2735 GFLOPS and a measured 67 GB/s; at base clock and theoretical bandwidth it is 28."""
    quoted = DEVICES["ryzen-9-7950x"].quoted
    assert int(quoted["fp32"] / quoted["bandwidth"]) == 40
    assert round(DEVICES["ryzen-9-7950x"].ridge_ops_per_byte("fp32")) == 28


OWN = """
vendor = "mine"
[sources]
sheet = { title = "the board's sheet" }
[devices.board]
name = "My board"
kind = "NPU"
year = 2026
confidence = "high"
sources = ["sheet"]
peak_ops_per_s = { int8 = 4e12 }
"""


def test_a_board_of_ones_own_is_read(tmp_path):
    (tmp_path / "board.toml").write_text(OWN)
    (board,) = read_devices(tmp_path / "board.toml").values()
    assert board.peak("int8") == 4e12
    assert board.ridge_ops_per_byte("int8") is None


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("int8 = 4e12", "int7 = 4e12"), "board.peak_ops_per_s.int7"),
        (("int8 = 4e12", "int8 = -1"), "greater than or equal to 0.000001"),
        (('sources = ["sheet"]', ""), "the entry names no source"),
        (('sources = ["sheet"]', 'sources = ["shet"]'), "'shet', which is missing from the table [sources]"),
        (("year = 2026", "yaer = 2026"), "board.year: Field required"),
        (("[devices.board]", "[board]"), "contains no devices"),
        (('name = "My board"', 'name = "My board'), "is not TOML"),
        (('name = "My board"', 'of = "none"'), "`of` that names a device above it"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, change, part):
    path = tmp_path / "board.toml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(DeviceError) as caught:
        read_devices(path)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value) or "TOML" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "rates"),
    [  # NVIDIA's "AI TOPS": fp4 (RTX 50) or int8 (RTX 40) with sparsity, printed without decimals
        ("rtx-5070", {"fp4": 988}),
        ("rtx-5070-ti", {"fp4": 1406}),
        ("rtx-5080", {"fp4": 1801}),
        ("rtx-5090", {"fp4": 3352}),
        ("rtx-4070-ti", {"int8": 641}),
    ],
)
def test_the_sparse_rate_on_the_box_is_twice_the_dense_one(name, rates):
    for precision, tops in rates.items():
        assert DEVICES[name].sparse_ops_per_s[precision] == tops * 1e12
        assert 2 * DEVICES[name].peak(precision) == pytest.approx(tops * 1e12, rel=0.001)


@pytest.mark.parametrize("name", ["snapdragon-8-gen-3", "snapdragon-8-elite"])
def test_a_device_without_public_rates_says_so(name):
    assert "No rate of its NPU or GPU is public" in DEVICES[name].note
    with pytest.raises(DeviceError, match="it has none that any source agrees on"):
        DEVICES[name].peak("int8")


@pytest.mark.parametrize("name", [n for n in IDS if DEVICES[n].confidence != "low"])
def test_a_confidence_above_low_rests_on_a_source_that_was_read(name):
    device = DEVICES[name]
    rates = [p for p in ("bf16", "fp16", "int8", "fp32") if p in device.peak_ops_per_s]
    assert any(source.read for source in device.sources)
    assert not rates or set(rates) - set(device.not_read), "no source states any of its main rates"
