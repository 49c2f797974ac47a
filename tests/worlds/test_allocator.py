"""Peaks of fake ranks against what the CPU's allocator reports of the same layouts, on tensors with memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch.distributed as dist
from worlds.cases import SP, TP, step_of

from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_step import profile_rank

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
SCRIPT = Path(__file__).with_name("allocator.py")
LAYOUTS = {
    "ddp": ("dp=4", {"data_parallel": "ddp"}),
    "fsdp": ("dp=4", {"data_parallel": "fsdp"}),
    "tp": ("tp=4", {"tp_plan": TP}),
    "tp and sp": ("tp=4", {"tp_plan": SP}),
}


@cache
def allocated():
    """Return what the allocator reports of every layout, with and without the workspaces of matrix products."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with TemporaryDirectory() as folder:
        result = Path(folder) / "peaks"
        command = [sys.executable, str(SCRIPT), str(result)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(result.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_peak_of_a_rank_is_that_of_the_allocator_to_the_byte(name):
    mesh, options = LAYOUTS[name]
    plan = ParallelPlan(parse_mesh(mesh), **options)
    with fake_ranks(0, plan.mesh.world):
        counted = profile_rank(step_of(plan), plan).totals.peak_memory["total"]
    whole, without_workspaces = allocated()[name]
    assert counted == without_workspaces
    assert counted <= whole <= counted * 1.05
