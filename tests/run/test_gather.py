"""The profiles of two ranks of gloo, collected on the first."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
import torch.distributed as dist
from torch import nn

import profiler
from profiler.errors import InputError

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
RUN = """
    import sys, tempfile
    from datetime import timedelta
    import torch, torch.distributed as dist, profiler
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    def net():
        return nn.Sequential(nn.Linear(8, 32, bias=False), nn.LayerNorm(32), nn.Linear(32, 8, bias=False))

    def rank(number, ranks, file):
        store = dist.FileStore(file, ranks)
        dist.init_process_group("gloo", rank=number, world_size=ranks, store=store, timeout=timedelta(seconds=60))
        plan = {"0": ColwiseParallel(output_layouts=Replicate()),
                "2": RowwiseParallel(input_layouts=Replicate())}
        model = parallelize_module(net(), init_device_mesh("cpu", (ranks,), mesh_dim_names=("tp",)), plan)
        with profiler.profile(model) as p:
            model(torch.ones(5, 8))
            try:
                p.gather()
            except profiler.errors.InputError as error:
                assert "after the block" in str(error)
        gathered = p.gather()
        assert (gathered is None) == (number == 1)
        if gathered is not None:
            with profiler.profile(whole := net()) as q:
                whole(torch.ones(5, 8))
            shares = {row.path: row.copies for row in gathered.compare(q.result)}
            assert shares["0"] == shares["2"] == 1, shares
            assert shares["1"] == 2, shares
            assert [row.path for row in gathered.replicated(q.result)] == ["1"]
            assert gathered.totals.macs == q.totals.macs == 2 * 5 * 8 * 32
            assert [g.totals.params for g in gathered.profiles] == [256 + 64] * 2
            assert gathered.global_params == q.totals.params
            assert gathered.peak_rank == 0
        dist.destroy_process_group()

    if __name__ == "__main__":
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.start_processes(rank, (2, folder + "/store"), nprocs=2, start_method="fork")
"""


def test_two_ranks_of_tensor_parallel_layers_add_up_to_the_model_and_name_what_both_do():
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(RUN)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]


def test_gather_without_a_process_group_says_what_to_do():
    with profiler.profile(model := nn.Linear(2, 2)) as p:
        model(torch.ones(1, 2))
    with pytest.raises(InputError, match="needs a process group; start the script with torchrun"):
        p.gather()


def test_gather_of_a_fake_world_says_that_it_has_no_other_ranks():
    from torch.testing._internal.distributed.fake_pg import FakeStore

    with profiler.profile(model := nn.Linear(2, 2)) as p:
        model(torch.ones(1, 2))
    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        with pytest.raises(InputError, match="the fake backend has none"):
            p.gather()
    finally:
        dist.destroy_process_group()
