"""The table of communication of one rank of four; expected bytes are derived from the shapes in each test."""

from __future__ import annotations

import json
from operator import attrgetter

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

import profiler
from profiler.report import render
from profiler.tally.saved import from_json, to_json
from profiler.values.communication import wire_bytes

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
RANKS, HIDDEN, WIDE, BATCH = 4, 8, 32, 5
#: Bytes of one of the two weights.
WEIGHT = 4 * HIDDEN * WIDE


@pytest.fixture(scope="module", autouse=True)
def _fake_ranks():
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())
    yield
    dist.destroy_process_group()


def model():
    return nn.Sequential(nn.Linear(HIDDEN, WIDE, bias=False), nn.ReLU(), nn.Linear(WIDE, HIDDEN, bias=False))


def mesh(*shape, names):
    return init_device_mesh("cpu", shape, mesh_dim_names=names)


def sharded(of, **options):
    from torch.distributed.fsdp import fully_shard

    net = model()
    fully_shard(net[0], mesh=of, **options)
    fully_shard(net[2], mesh=of, **options)
    return fully_shard(net, mesh=of, **options)


def step(net, requires_grad=False):
    """Profile the second training step: the first one creates buffers."""
    for _ in range(2):
        with profiler.profile(net) as p:
            net(torch.ones(BATCH, HIDDEN, requires_grad=requires_grad)).sum().backward()
        for parameter in net.parameters():
            parameter.grad = None
    return p.result


def rows(p):
    columns = attrgetter("kind", "axis", "group_size", "calls", "payload_bytes", "wire_bytes", "module", "phase")
    return list(map(columns, p.communication))


def test_fsdp_gathers_each_layer_twice_and_scatters_its_gradient():
    sent = WEIGHT * (RANKS - 1) // RANKS
    p = step(sharded(mesh(RANKS, names=("dp",))))
    assert rows(p) == [
        ("all_gather", "dp", RANKS, 1, WEIGHT, sent, "0", "forward"),
        ("all_gather", "dp", RANKS, 1, WEIGHT, sent, "2", "forward"),
        ("all_gather", "dp", RANKS, 1, WEIGHT, sent, "2", "backward"),
        ("all_gather", "dp", RANKS, 1, WEIGHT, sent, "0", "backward"),
        ("reduce_scatter", "dp", RANKS, 1, WEIGHT, sent, "2", "backward"),
        ("reduce_scatter", "dp", RANKS, 1, WEIGHT, sent, "0", "backward"),
    ]
    assert p.is_complete


def test_a_prefetched_layer_has_the_gather_of_its_own_parameters():
    net = sharded(mesh(RANKS, names=("dp",)))
    net[0].set_modules_to_forward_prefetch([net[2]])
    gathers = [r.module for r in step(net).communication if r.kind == "all_gather" and r.phase == "forward"]
    assert gathers == ["0", "2"]


def test_hybrid_sharding_reduces_the_shards_along_the_replicas():
    p = step(sharded(mesh(2, 2, names=("replicate", "shard"))))
    reduced = [r for r in p.communication if r.kind == "all_reduce"]
    assert {(r.axis, r.group_size, r.ranks, r.payload_bytes) for r in reduced} == {
        ("replicate", 2, (0, 2), WEIGHT // 2)
    }
    assert {r.ranks for r in p.communication if r.axis == "shard"} == {(0, 1)}


def test_tensor_parallel_layers_reduce_their_output_and_the_gradient_of_their_input():
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    net = parallelize_module(model(), mesh(RANKS, names=("tp",)), {"0": ColwiseParallel(), "2": RowwiseParallel()})
    p = step(net, requires_grad=True)
    payload = 4 * BATCH * HIDDEN
    sent = 2 * payload * (RANKS - 1) // RANKS
    assert [r[:6] + r[7:] for r in rows(p)] == [
        ("all_reduce", "tp", RANKS, 1, payload, sent, "forward"),
        ("all_reduce", "tp", RANKS, 1, payload, sent, "backward"),
    ]
    assert (p.totals.params, p.totals.global_params) == (2 * WEIGHT // 4 // RANKS, 2 * WEIGHT // 4)
    assert p.totals.macs == 3 * 2 * BATCH * HIDDEN * WIDE // RANKS


def test_what_is_sent_and_received_in_the_forward_is_listed_by_peer():
    with profiler.profile() as p:
        dist.send(torch.ones(10), 1)
        dist.recv(torch.empty(10), 1)
        dist.barrier()
    assert [(r.kind, r.axis, r.payload_bytes, r.wire_bytes) for r in p.communication] == [
        ("send", "world", 40, 40),
        ("recv", "world", 40, 0),
    ]


def test_gathered_parameters_and_flat_buffers_have_their_own_categories():
    p = step(sharded(mesh(RANKS, names=("dp",))))
    forward = p.phases["forward"].peak_memory
    # the first layer's gathered weight has been freed, the second's is whole; its flat buffer may still be there
    assert forward["gathered"] == WEIGHT
    assert forward["communication"] in {WEIGHT, 2 * WEIGHT}
    assert forward["parameter"] == 2 * WEIGHT // RANKS
    assert forward["input"] == 4 * BATCH * HIDDEN


def test_a_saved_profile_has_the_table_and_loads_to_an_equal_one():
    p = step(sharded(mesh(RANKS, names=("dp",))))
    text = to_json(p)
    assert from_json(text) == p
    saved = json.loads(text)["communication"]
    assert [row["kind"] for row in saved] == [r.kind for r in p.communication]
    assert {"kind", "axis", "group_size", "dtype", "calls", "payload_bytes", "wire_bytes", "module", "phase"} <= saved[
        0
    ].keys()


def test_a_profile_saved_before_there_was_a_table_can_be_loaded():
    p = step(sharded(mesh(RANKS, names=("dp",))))
    values = json.loads(to_json(p))
    del values["communication"], values["groups"], values["totals"]["global_params"]
    assert from_json(json.dumps(values)).totals.macs == p.totals.macs


def test_the_reports_show_what_is_exchanged():
    p = step(sharded(mesh(RANKS, names=("dp",))))
    assert "reduce_scatter  dp" in render(p, "text", title="net")
    assert "| reduce_scatter | dp " in render(p, "markdown", title="net")
    lines = render(p, "communication-csv", title="net").splitlines()
    assert lines[0] == "kind,axis,group_size,ranks,dtype,calls,payload_bytes,wire_bytes,module,phase"
    assert lines[1] == f"all_gather,dp,4,0 1 2 3,float32,1,{WEIGHT},{WEIGHT * 3 // 4},0,forward"


def test_a_model_on_one_process_has_no_table():
    p = profiler.count(nn.Linear(2, 2), torch.ones(1, 2))
    assert p.communication == ()
    assert p.totals.global_params == p.totals.params == 6
    assert "communication" not in render(p, "text", title="net")


def test_a_functional_collective_with_a_gradient_is_counted_once():
    from torch.distributed._functional_collectives import all_to_all_single_autograd

    x = torch.ones(RANKS * 2, requires_grad=True)
    with profiler.profile() as p:
        all_to_all_single_autograd(x, [2] * RANKS, [2] * RANKS, dist.group.WORLD).sum().backward()
    assert [(r.kind, r.calls, r.payload_bytes, r.phase) for r in p.communication] == [
        ("all_to_all", 1, 32, "forward"),
        ("all_to_all", 1, 32, "backward"),
    ]


@pytest.mark.parametrize("kind", ["all_gather", "reduce_scatter", "all_to_all", "all_reduce"])
def test_a_ring_of_one_rank_sends_nothing_and_a_ring_of_many_the_whole(kind):
    rounds = 2 if kind == "all_reduce" else 1
    assert wire_bytes(kind, 1000, 1) == 0
    assert wire_bytes(kind, 1000, 1000) == rounds * 999
