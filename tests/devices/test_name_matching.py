"""A name matches its device, and never another one."""

from __future__ import annotations

import pytest

from profiler.devices import all_devices, find_device, match
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
        ("RTX4090", "rtx-4090"),
        ("rtx 2080ti", "rtx-2080-ti"),
        ("4090", "rtx-4090"),
        ("TPU v6 lite", "tpu-v6e"),
        # what nvidia-smi and torch.cuda.get_device_name print
        ("Tesla P100-PCIE-16GB", "p100-pcie-16gb"),
        ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
        ("Tesla V100-SXM2-32GB", "v100-sxm2-32gb"),
        ("Tesla V100-PCIE-16GB", "v100-pcie-16gb"),
        ("Tesla V100-PCIE-32GB", "v100-pcie-32gb"),
        ("Tesla T4", "t4"),
        ("NVIDIA A10", "a10"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA A30", "a30"),
        ("NVIDIA A40", "a40"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40", "l40"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A100-SXM4-40GB", "a100-sxm4-40gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA H100 PCIe", "h100-pcie-80gb"),
        ("NVIDIA H100 NVL", "h100-nvl-94gb"),
        ("NVIDIA H200", "h200-sxm-141gb"),
        ("NVIDIA H20", "h20-96gb"),
        ("NVIDIA GH200 480GB", "gh200-96gb"),
        ("NVIDIA B200", "b200-sxm-180gb"),
        ("NVIDIA GB200", "gb200-per-gpu"),
        ("NVIDIA B300 SXM6 AC", "b300-sxm-288gb"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000-blackwell-server"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000-blackwell-workstation"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("Quadro RTX 6000", "quadro-rtx-6000"),
        ("NVIDIA TITAN RTX", "titan-rtx"),
        ("NVIDIA GeForce GTX 1080 Ti", "gtx-1080-ti"),
        ("NVIDIA GeForce RTX 2080 Ti", "rtx-2080-ti"),
        ("NVIDIA GeForce RTX 3060", "rtx-3060-12gb"),
        ("NVIDIA GeForce RTX 3080", "rtx-3080-10gb"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA GeForce RTX 4060", "rtx-4060"),
        ("NVIDIA GeForce RTX 4070", "rtx-4070"),
        ("NVIDIA GeForce RTX 4070 SUPER", "rtx-4070-super"),
        ("NVIDIA GeForce RTX 4070 Ti", "rtx-4070-ti"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "rtx-4070-ti-super"),
        ("NVIDIA GeForce RTX 4080", "rtx-4080"),
        ("NVIDIA GeForce RTX 5070", "rtx-5070"),
        ("NVIDIA GeForce RTX 5070 Ti", "rtx-5070-ti"),
        ("NVIDIA GeForce RTX 5080", "rtx-5080"),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("NVIDIA Tegra X1", "jetson-nano"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano-8gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", "jetson-thor-t5000"),
        ("Jetson Thor", "jetson-thor-t5000"),
        # rocm-smi and torch on ROCm
        ("AMD Instinct MI100", "mi100"),
        ("AMD Instinct MI210", "mi210"),
        ("AMD Instinct MI250X", "mi250x"),
        ("AMD Instinct MI300X", "mi300x"),
        ("AMD Instinct MI300X OAM", "mi300x"),
        ("AMD Instinct MI355X", "mi355x"),
        ("AMD Radeon RX 7900 XTX", "rx-7900-xtx"),
        ("Radeon RX 7900 XTX", "rx-7900-xtx"),
        ("AMD Radeon RX 9070 XT", "rx-9070-xt"),
        # xpu-smi, sysctl, /proc/cpuinfo, jax
        ("Intel(R) Data Center GPU Max 1550", "max-1550"),
        ("Intel(R) Arc(TM) A770 Graphics", "arc-a770-16gb"),
        ("Intel(R) Arc(TM) B580 Graphics", "arc-b580"),
        ("Apple M1", "apple-m1"),
        ("Apple M1 Pro", "apple-m1-pro"),
        ("Apple M4 Max", "apple-m4-max"),
        ("Intel(R) Xeon(R) Platinum 8480+", "xeon-8480plus"),
        ("AMD EPYC 9654 96-Core Processor", "epyc-9654"),
        ("AMD Ryzen 9 7950X 16-Core Processor", "ryzen-9-7950x"),
        ("Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz", "core-i9-10940x"),
        ("TPU v5 lite", "tpu-v5e"),
        ("TPU v4", "tpu-v4"),
        ("TPU7x", "tpu-v7x"),
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
        ("NVIDIA RTX 6000", ["quadro-rtx-6000", "rtx-6000-ada"]),
        ("RTX PRO 6000", ["rtx-pro-6000-blackwell-server", "rtx-pro-6000-blackwell-workstation"]),
        ("Tesla V100", ["v100-sxm2-16gb", "v100-sxm2-32gb", "v100-pcie-16gb", "v100-pcie-32gb"]),
        ("A100 SXM", ["a100-sxm4-40gb", "a100-sxm4-80gb"]),
        ("V100 32GB", ["v100-sxm2-32gb", "v100-pcie-32gb"]),
        ("Tesla P100", ["p100-pcie-16gb", "p100-sxm2-16gb"]),
        ("RTX 4060 Ti", ["rtx-4060-ti-8gb", "rtx-4060-ti-16gb"]),
        ("Xavier", ["jetson-xavier-nx-8gb", "jetson-agx-xavier-32gb"]),
        ("Orin", ["jetson-orin-nano-8gb", "jetson-agx-orin-64gb"]),
        ("gaudi", ["gaudi2", "gaudi3"]),
        ("Thor", ["jetson-thor-t5000", "drive-thor"]),
    ],
)
def test_an_ambiguous_name_lists_what_it_may_mean(name, candidates):
    with pytest.raises(AmbiguousNameError) as caught:
        find_device(name)
    assert all(candidate in str(caught.value) for candidate in candidates)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        # another part
        ("NVIDIA GeForce RTX 2080", "rtx-2080-ti"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090"),
        ("RTX 4090 D", "rtx-4090"),
        ("RTX 3080 Ti", "rtx-3080-10gb"),
        ("RTX 3090 Ti", "rtx-3090"),
        ("GeForce RTX 4080 SUPER", "rtx-4080"),
        ("GTX 1080", "gtx-1080-ti"),
        ("RX 7900", "rx-7900-xtx"),
        ("AMD Radeon RX 7900 XT", "rx-7900-xtx"),
        ("RX 9070", "rx-9070-xt"),
        ("NVIDIA A100-SXM-64GB", "a100-sxm4-80gb"),
        ("NVIDIA GH200 144G HBM3e", "gh200-96gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "h100-sxm5-80gb"),
        ("NVIDIA H200 NVL", "h200-sxm-141gb"),
        ("TPU v5", "tpu-v5e' or 'tpu-v5p"),
        ("MI300", "mi300x' or 'mi300a"),
        ("MI250", "mi250x"),
        ("Snapdragon 8", "snapdragon"),
        ("Jetson Orin Nano 4GB", "jetson-orin-nano"),
        ("Jetson T4000", None),
        ("Quadro 6000", "quadro-rtx-6000"),
        ("Tesla M4", None),
        ("AMD M1", None),
        ("Intel T4", None),
        ("Radeon RTX 4090", "rtx-4090"),
        ("NVIDIA A2", None),
        ("NVIDIA A16", None),
        ("NVIDIA L20", None),
        ("NVIDIA H800", None),
        ("NVIDIA A800", None),
        ("A800-SXM4-80GB", None),
        ("RK3567", "rk356"),
        # a rest that means nothing
        ("8 × NVIDIA L40S, rev. b", "l40s"),
        ("rtx 4090 foo", "rtx-4090"),
        ("my l4", "l4"),
        ("l4 l40", None),
        ("RTX 4090 24GB 512GB", "rtx-4090"),
        # no part at all
        ("L", None),
        ("", None),
        ("NVIDIA", None),
        ("titan", None),
    ],
)
def test_a_name_of_another_part_is_unknown_and_the_near_ones_are_listed(name, near):
    with pytest.raises(UnknownNameError, match=r"did you mean|such as|nearest") as caught:
        find_device(name)
    assert near is None or near in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["jetson-orin-nano,rk3588", "l4, h100-pcie-80gb", "l4,l40,l40s"])
def test_a_list_of_names_is_refused_and_not_cut(name):
    with pytest.raises(DeviceError, match=f"names {name.count(',') + 1} devices, and only one is taken"):
        find_device(name)


def test_a_file_with_several_devices_names_none(tmp_path):
    row = '[devices.{}]\nname = "x"\nkind = "NPU"\nyear = 2026\nconfidence = "high"\nsources = ["s"]\n'
    (tmp_path / "two.toml").write_text('[sources]\ns = { title = "t" }\n' + row.format("a") + row.format("b"))
    with pytest.raises(DeviceError, match="contains 2 devices, a, b; write the one to use"):
        find_device(str(tmp_path / "two.toml"))


def test_a_missing_file_is_an_error():
    with pytest.raises(DeviceError, match=r"cannot read none\.toml"):
        find_device("none.toml")


@pytest.mark.parametrize(("label", "device"), LABELS, ids=[label for label, _ in LABELS])
def test_a_word_more_is_another_name(label, device):
    assert match(f"{label} zz9") == []
