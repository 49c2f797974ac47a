"""What the CPU's allocator says of the step of one rank, which nothing of the package divides, runs or counts.

``python allocator.py RESULT``: run every layout on tensors with memory, in a process group without other processes, and
write the bytes at the peak of each as JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from allocations import peaks
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import loss_parallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore
from worlds.cases import TOKENS, Block, llama, sequence_plan, tensor_plan

RANKS = 4
#: Kernels of which the workspaces are left out.
KERNELS = frozenset({"aten::mm"})


def ddp(model, mesh):
    replica = DistributedDataParallel(model, process_group=mesh.get_group(), init_sync=False)
    replica.register_comm_hook(None, lambda _, bucket: _reduced(bucket))  # the fake group returns no result
    return replica


def _reduced(bucket):
    buffer = bucket.buffer()
    dist.all_reduce(buffer.div_(RANKS))
    future = torch.futures.Future()
    future.set_result(buffer)
    return future


def fsdp(model, mesh):
    for block in model:
        if isinstance(block, Block):
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def tensor_parallel(model, mesh):
    return parallelize_module(model, mesh, _paths(model, tensor_plan()))


def sequence_parallel(model, mesh):
    return parallelize_module(model, mesh, _paths(model, sequence_plan()))


def _paths(model, plan):
    paths = [path for path, _ in model.named_modules()]
    blocks = [path for path in paths if path.count(".") == 0 and path]
    expanded = {pattern.replace("*", block, 1): style for pattern, style in plan.items() for block in blocks}
    return {path: style for path, style in expanded.items() if path in paths}


LAYOUTS = {"ddp": ddp, "fsdp": fsdp, "tp": tensor_parallel, "tp and sp": sequence_parallel}


def peak(layout):
    """Return the bytes at the peak of a step, with and without workspaces; the optimizer has its states."""
    mesh = init_device_mesh("cpu", (RANKS,))
    with torch.device("meta"):
        model = llama()
    model = model if layout is ddp else layout(model, mesh)
    model.to_empty(device="cpu")
    for tensor in model.parameters():
        torch.nn.init.constant_(tensor, 1e-3)
    model = ddp(model, mesh) if layout is ddp else model
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.zeros(2, TOKENS, dtype=torch.int64)

    def step():
        output = model(x)  # which lives on during the backward pass, as in any training loop that names it
        output.sum().backward()
        optimizer.step()

    with loss_parallel() if layout in {tensor_parallel, sequence_parallel} else contextlib.nullcontext():
        for _ in range(2):  # DDP makes its buckets anew in the second step
            step()
            optimizer.zero_grad(set_to_none=True)
        held = [*model.parameters(), *(t for state in optimizer.state.values() for t in state.values())]
        before = sum(_local(t).untyped_storage().nbytes() for t in held) + x.untyped_storage().nbytes()
        buckets = sum(p.numel() * 4 for p in model.parameters()) if layout is ddp else 0
        gc.collect()
        return [before + buckets + most for most in peaks(step, KERNELS)]


def _local(tensor):
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def main() -> None:
    found = {}
    for name, layout in LAYOUTS.items():
        dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())
        found[name] = peak(layout)
        dist.destroy_process_group()
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
