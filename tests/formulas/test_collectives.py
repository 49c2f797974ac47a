"""Collective operations: what a rank reads and writes; complete steps of DDP, FSDP2 and tensor parallelism."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
import torch.distributed as dist
import torch.distributed._symmetric_memory  # registers its operators
import torch.distributed.tensor
from torch.distributed._functional_collectives import all_gather_tensor, all_reduce, reduce_scatter_tensor

import profiler
from profiler.formulas import rule_for
from profiler.formulas.collectives import MOVING, WAITING

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
RANKS, ELEMENTS = 4, 8
BYTES = 4 * ELEMENTS
X = torch.ones(ELEMENTS)


@pytest.fixture(scope="module", autouse=True)
def _fake_ranks():
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())
    yield
    dist.destroy_process_group()


def buffers() -> list[torch.Tensor]:
    return [torch.empty(ELEMENTS) for _ in range(RANKS)]


#: The call, and the payloads of one rank that are read and written by it.
CALLS = {
    "all_reduce": (lambda: dist.all_reduce(X.clone()), 1, 1),
    "all_reduce_coalesced": (lambda: dist.all_reduce_coalesced([X.clone(), X.clone()]), 2, 2),
    "broadcast": (lambda: dist.broadcast(X.clone(), 0), 1, 1),
    "reduce": (lambda: dist.reduce(X.clone(), 0), 1, 1),
    "all_gather": (lambda: dist.all_gather(buffers(), X), 1, RANKS),
    "all_gather_into_tensor": (lambda: dist.all_gather_into_tensor(torch.empty(RANKS * ELEMENTS), X), 1, RANKS),
    "gather": (lambda: dist.gather(X, buffers(), 0), 1, RANKS),
    "scatter": (lambda: dist.scatter(torch.empty(ELEMENTS), buffers(), 0), RANKS, 1),
    "reduce_scatter": (lambda: dist.reduce_scatter(torch.empty(ELEMENTS), buffers()), RANKS, 1),
    "reduce_scatter_tensor": (
        lambda: dist.reduce_scatter_tensor(torch.empty(ELEMENTS), torch.ones(RANKS * ELEMENTS)), RANKS, 1,
    ),
    "all_to_all": (lambda: dist.all_to_all(buffers(), buffers()), RANKS, RANKS),
    "all_to_all_single": (lambda: dist.all_to_all_single(torch.empty(ELEMENTS), X), 1, 1),
    "send": (lambda: dist.send(X, 1), 1, 0),
    "recv": (lambda: dist.recv(torch.empty(ELEMENTS), 1), 0, 1),
    "barrier": (dist.barrier, 0, 0),
    "functional all_reduce": (lambda: all_reduce(X, "sum", dist.group.WORLD).wait(), 1, 1),
    "functional all_gather": (lambda: all_gather_tensor(X, 0, dist.group.WORLD).wait(), 1, RANKS),
    "functional reduce_scatter": (
        lambda: reduce_scatter_tensor(torch.ones(RANKS * ELEMENTS), "sum", 0, dist.group.WORLD).wait(), RANKS, 1,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize("name", CALLS)
def test_a_collective_moves_what_a_rank_sends_and_receives(name):
    call, read, written = CALLS[name]
    with profiler.profile() as p:
        call()
    rows = [row for row in p.result.entries if row.record.operator.partition(".")[0] in {"c10d", "_c10d_functional"}]
    assert p.is_complete, p.uncounted
    assert rows
    assert {row.kind for row in rows} <= {"moves", "free"}
    assert sum(row.bytes_read for row in rows) == read * BYTES
    assert sum(row.bytes_written for row in rows) == written * BYTES
    assert p.totals.flops == 0


@pytest.mark.parametrize("library", ["c10d", "_c10d_functional", "_c10d_functional_autograd", "fsdp", "symm_mem"])
def test_every_collective_of_this_torch_has_a_rule(library):
    names = {
        name.replace("::", ".") for name in torch._C._dispatch_get_all_op_names() if name.startswith(f"{library}::")
    }
    assert names
    assert [name for name in sorted(names) if rule_for(name) is None] == []


def test_no_collective_is_both_moved_and_free():
    assert MOVING.isdisjoint(WAITING)


RUN = """
    import sys, tempfile, torch, torch.distributed as dist, profiler
    from torch import nn

    def rank(number, ranks, file):
        dist.init_process_group("gloo", rank=number, world_size=ranks, init_method="file://" + file)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32, bias=False), nn.ReLU(), nn.Linear(32, 8, bias=False))
        x = torch.ones(5, 8)
        macs = 5 * 2 * 8 * 32
        reduced = {"c10d.allreduce_"}
        if "ddp" in sys.argv[1]:
            model = nn.parallel.DistributedDataParallel(model)
        if "fsdp" in sys.argv[1]:
            from torch.distributed.fsdp import fully_shard
            fully_shard(model[0]); fully_shard(model)
            reduced = {"c10d._allgather_base_", "c10d._reduce_scatter_base_"}
        if "tp" in sys.argv[1]:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
            plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
            parallelize_module(model, init_device_mesh("cpu", (ranks,)), plan)
            macs //= ranks
            reduced = {"_c10d_functional.all_reduce"}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            with profiler.profile(model) as p:
                model(x).sum().backward()
                optimizer.step()
            assert p.is_complete, p.uncounted
            assert p.phases["forward"].macs == macs, p.phases["forward"].macs
            assert p.phases["backward"].macs == 3 * macs // 2, p.phases["backward"].macs
            moved = {row.operator: row.totals.bytes_read + row.totals.bytes_written for row in p.operators}
            assert reduced <= moved.keys(), moved
            if "ddp" in sys.argv[1]:
                assert moved["c10d.allreduce_"] == 2 * 4 * 2 * 8 * 32, moved
        dist.destroy_process_group()

    if __name__ == "__main__":
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.start_processes(rank, (2, folder + "/store"), nprocs=2, start_method="fork")
"""


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "tp"])
def test_a_step_of_two_ranks_is_complete(strategy):
    script = textwrap.dedent(RUN)
    run = subprocess.run([sys.executable, "-c", script, strategy], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]


def test_matrix_products_fused_with_a_collective_count_as_the_products_alone():
    a, b, c = (torch.empty(*shape, device="meta") for shape in ((2, 3, 8), (8, 5), (8, 7)))
    group = dist.group.WORLD.group_name
    with profiler.profile() as p:
        gathered, _ = torch.ops.symm_mem.fused_all_gather_matmul(a, [b, c], 0, group)
    with profiler.profile() as q:
        torch.ops.symm_mem.fused_matmul_reduce_scatter(gathered, b, "sum", 0, group)
    with profiler.profile() as alone:
        (gathered @ b, gathered @ c)
    assert p.totals.macs == alone.totals.macs
    assert q.totals.macs == RANKS * 2 * 3 * 8 * 5
    assert p.is_complete
    assert q.is_complete
