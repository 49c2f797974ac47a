"""What a profile observed is freed when its user drops it, without waiting for Python's garbage collector."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref

import pytest
import torch
from torch import nn

import profiler


def forward(model, x):
    with profiler.profile(model) as p:
        model(x)
    return p.result


def backward(model, x):
    with profiler.profile(model) as p:
        model(x).sum().backward()
    return p.result


def error(model, x):
    with pytest.raises(RuntimeError), profiler.profile(model):
        model(x[:, 1:])


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("run", [forward, backward, error, profiler.count, profiler.count_step, profiler.measure])
def test_a_profiled_model_and_its_input_are_freed_with_their_last_reference(run):
    model, x = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)), torch.randn(4, 8)
    alive = [weakref.ref(model), weakref.ref(model[0].weight), weakref.ref(x)]
    result = run(model, x)
    del model, x
    assert [reference() for reference in alive] == [None] * 3, f"kept by {result!r:.40}"


HANDLES = """
    import tempfile, time, torch, torch.distributed as dist, profiler
    from torch.multiprocessing.reductions import StorageWeakRef

    dist.init_process_group("gloo", rank=0, world_size=1, init_method="file://" + tempfile.mktemp())
    with profiler.profile():
        buffer = torch.ones(1000)
        storage = StorageWeakRef(buffer.untyped_storage())
        handle = dist.all_reduce(buffer, async_op=True)
        handle.wait()
        del buffer, handle
        for _ in range(100):  # gloo's own thread may hold it for a moment after the wait
            time.sleep(0 if storage.expired() else 0.05)
        assert storage.expired()
    dist.destroy_process_group()
"""


def test_the_buffer_of_a_collective_is_freed_inside_the_block():
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(HANDLES)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
