"""A name matches its device, and never another one."""

from __future__ import annotations

import pytest

from profiler.devices import all_devices, find_device, match
from profiler.devices.name_matching import _match_longest_label
from profiler.errors import AmbiguousNameError, DeviceError, UnknownNameError

LABELS = [(label, i) for i, d in all_devices().items() for label in (i, d.name, *d.aliases)]


@pytest.mark.parametrize(("label", "device"), LABELS, ids=[label for label, _ in LABELS])
def test_a_device_is_found_by_each_of_its_labels(label, device):
    assert match(label) == [device]


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("L4", "l4"),
        ("L40", "l40"),
        ("nvidia l40s", "l40s"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm5-80gb"),
        ("H100 SXM", "h100-sxm5-80gb"),
        ("h100 pcie", "h100-pcie-80gb"),
        ("jetson-orin-nx", "jetson-orin-nx-16gb"),
        ("Jetson Orin Nano", "jetson-orin-nano-8gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("tpu v5e", "tpu-v5e"),
        ("8 × NVIDIA L40S, rev. b", "l40s"),
    ],
)
def test_a_name_as_people_and_drivers_write_it(name, device):
    assert find_device(name).id == device


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("H100", ["h100-sxm5-80gb", "h100-pcie-80gb", "h100-nvl-94gb"]),
        ("A100 80GB", ["a100-sxm4-80gb", "a100-pcie-80gb"]),
        ("AGX Orin", ["jetson-agx-orin-32gb", "jetson-agx-orin-64gb"]),
        ("RTX 6000", ["quadro-rtx-6000", "rtx-6000-ada"]),
        ("Thor", ["jetson-thor-t5000", "drive-thor"]),
    ],
)
def test_an_ambiguous_name_lists_what_it_may_mean(name, candidates):
    with pytest.raises(AmbiguousNameError) as caught:
        find_device(name)
    assert all(candidate in str(caught.value) for candidate in candidates)


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "RTX 4090 D",
        "RTX 3080 Ti",
        "NVIDIA A100-SXM-64GB",
        "NVIDIA GH200 144G HBM3e",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "L",
        "",
        "NVIDIA",
    ],
)
def test_a_variant_is_not_taken_for_its_namesake(name):
    with pytest.raises(UnknownNameError, match=r"did you mean|such as"):
        find_device(name)


def test_a_file_with_several_devices_names_none(tmp_path):
    row = '[devices.{}]\nname = "x"\nkind = "NPU"\nyear = 2026\nconfidence = "high"\nsources = ["s"]\n'
    (tmp_path / "two.toml").write_text('[sources]\ns = { title = "t" }\n' + row.format("a") + row.format("b"))
    with pytest.raises(DeviceError, match="contains 2 devices, a, b; write the one to use"):
        find_device(str(tmp_path / "two.toml"))


def test_a_missing_file_is_an_error():
    with pytest.raises(DeviceError, match=r"cannot read none\.toml"):
        find_device("none.toml")


def test_of_two_labels_in_a_text_the_longer_is_meant():
    labels = {"short": [("a",)], "long": [("a", "b")]}
    assert _match_longest_label(("the", "a", "b", "board"), labels) == ["long"]
