"""The α-β model against closed forms, and the estimate of a step against its own bounds."""

from __future__ import annotations

import pytest

from profiler.devices import all_devices
from profiler.devices.server import all_servers, read_servers, server_of
from profiler.errors import DeviceError
from profiler.projection.communication import ComputeTime, Link, collective_s, link_of, step_time
from profiler.values.communication import Communication

FAST = Link(1e-6, 1e9, 1e9, is_network=False)
GB = 10**9
SERVER = """[servers.a]
devices = []
domain = {}
link_bytes_per_s = 1
network_bytes_per_s = 1
source = 'x'
"""


def row(kind="all_gather", axis="dp", ranks=tuple(range(8)), payload=GB, calls=1):
    return Communication(kind, axis, len(ranks), ranks, "float32", calls, calls * payload, 0, "", "forward")


@pytest.mark.parametrize(
    ("kind", "parts"), [("all_gather", 3), ("reduce_scatter", 3), ("all_to_all", 3), ("all_reduce", 6)]
)
def test_a_large_collective_takes_its_bytes_at_the_rate_of_the_link(kind, parts):
    assert collective_s(kind, GB, 4, FAST) == pytest.approx(parts / 4, rel=1e-4)


def test_a_small_collective_takes_the_latency_of_its_steps():
    ring = Link(3.4e-6, 1e15, 1e15, is_network=False)
    assert collective_s("all_gather", 8, 9, ring) == pytest.approx(8.4e-6 + 8 * 3.4e-6)


def test_an_all_reduce_of_many_ranks_takes_a_tree():
    ring = Link(14e-6, 1e15, 1e15, is_network=True)
    assert collective_s("all_reduce", 8, 1024, ring) == pytest.approx(8.4e-6 + 20 * 28e-6)


def test_a_rank_alone_exchanges_nothing():
    assert collective_s("all_reduce", GB, 1, FAST) == 0


def test_a_group_in_one_server_crosses_its_fast_link_and_any_other_the_network():
    server = server_of("h100-sxm5-80gb")
    assert link_of(server, (0, 3, 7)).bytes_per_s == 450e9
    assert link_of(server, (7, 8)).bytes_per_s == 50e9
    assert link_of(server, tuple(range(0, 64, 8))).bytes_per_s == 50e9
    assert link_of(server, tuple(range(16))).bytes_per_s == 8 * 50e9  # each device has its own link to the network


def test_the_estimate_is_between_all_overlapped_and_nothing_overlapped_and_above_the_bound():
    server = server_of("h100-sxm5-80gb")
    rows = [row(), row("all_reduce", "tp", payload=3 * GB), row("reduce_scatter", ranks=tuple(range(0, 64, 8)))]
    for compute in (0.001, 0.01, 0.1, 1.0):
        times = ComputeTime(compute / 2, compute * 0.8, compute, compute * 1.4)
        t = step_time(rows, server, compute=times, stages=4, microbatches=8)
        assert t.bound_s <= t.low_s <= t.estimate_s <= t.high_s
        assert t.bubble == 3 / 8


def test_the_range_has_that_of_the_computation():
    t = step_time([], server_of("h100-sxm5-80gb"), compute=ComputeTime(0.5, 0.9, 1.0, 1.3))
    assert (t.bound_s, t.low_s, t.estimate_s, t.high_s) == (0.5, 0.9, 1.0, 1.3)


def test_nccl_gets_less_than_the_rate_of_nvlink_and_a_switch_that_adds_beats_no_bound():
    # Sylvain Jeaugey in nccl-tests #212: 370 of 450 GB/s; with NVLink SHARP, 480 GB/s of bus bandwidth in an all-reduce
    server, eight = server_of("h100-sxm5-80gb"), tuple(range(8))
    assert collective_s("all_gather", 8 * GB, 8, link_of(server, eight)) == pytest.approx(7 / 370, rel=0.01)
    bus_bytes = 2 * 7 / 8 * 8 * GB
    nothing = ComputeTime(0, 0, 0, 0)
    assert step_time([row("all_reduce", payload=8 * GB)], server, compute=nothing).bound_s < bus_bytes / 480e9


def test_interleaved_stages_divide_the_bubble():
    server = server_of("h100-sxm5-80gb")
    one = ComputeTime(1, 1, 1, 1)
    times = [step_time([], server, compute=one, stages=4, microbatches=6, chunks=n) for n in (1, 2)]
    assert [t.bubble for t in times] == [0.5, 0.25]
    assert times[0].estimate_s == 1.5


def test_the_servers_name_devices_of_the_catalogue_and_have_sources():
    assert {name for server in all_servers().values() for name in server.devices} <= all_devices().keys()


@pytest.mark.parametrize(
    ("device", "both_directions", "network_gbit"),
    [
        ("h100-sxm5-80gb", 900e9, 400),  # NVIDIA on HGX H100; MLPerf's system XE9680
        ("h200-sxm-141gb", 900e9, 400),  # MLPerf's system H200-SXM-141GBx8
        ("b200-sxm-180gb", 14.4e12 / 8, 400),  # MLPerf's system nebius_b200_n1
        ("mi300x", 7 * 128e9, 400),  # 7 links of 128 GB/s
        ("gb200-per-gpu", 1.8e12, 400),
    ],
)
def test_links_are_one_direction_of_what_the_sources_say(device, both_directions, network_gbit):
    server = server_of(device)
    assert server.link_bytes_per_s == both_directions / 2
    assert server.network_bytes_per_s == network_gbit * 1e9 / 8


def test_a_device_without_links_is_an_error_that_lists_those_that_have():
    with pytest.raises(DeviceError, match=r"no links of l4, .* h100-sxm5-80gb"):
        server_of("l4")


_SERVER = """[servers.a]
devices = []
domain = 8
link_bytes_per_s = 1
network_bytes_per_s = 1
source = 'x'
network_source = 'x'
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            _SERVER.replace("domain = 8", "domain = 0"),
            "domain",
        ),
        (
            _SERVER,
            "no source",
        ),
        ("[servers", "TOML"),
    ],
)
def test_a_file_of_servers_that_is_wrong_is_refused(text, message, tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text(text)
    with pytest.raises(DeviceError, match=message):
        read_servers(path)
