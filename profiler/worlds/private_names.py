"""Parts of PyTorch that a fake world needs and that are not public, or not in every version.

Each is looked up here, once, by its module and its name, so that a version that lacks one says so.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from profiler.errors import InstallationError

#: Where each part is, by the name by which `find` returns it.
PARTS = {
    "FakeStore": "torch.testing._internal.distributed.fake_pg",
    "FakeTensorMode": "torch._subclasses.fake_tensor",
    "fully_shard": "torch.distributed.fsdp",
    "MixedPrecisionPolicy": "torch.distributed.fsdp",
    "init_device_mesh": "torch.distributed.device_mesh",
    "parallelize_module": "torch.distributed.tensor.parallel",
    "ColwiseParallel": "torch.distributed.tensor.parallel",
    "RowwiseParallel": "torch.distributed.tensor.parallel",
    "ParallelStyle": "torch.distributed.tensor.parallel",
    "_pre_dp_module_transform": "torch.distributed.tensor.parallel.ddp",
    "loss_parallel": "torch.distributed.tensor.parallel",
    "DTensor": "torch.distributed.tensor",
    "Replicate": "torch.distributed.tensor",
    "Shard": "torch.distributed.tensor",
    "_templated_ring_attention": "torch.distributed.tensor.experimental._context_parallel._attention",
    "_templated_ring_attention_backward": "torch.distributed.tensor.experimental._context_parallel._attention",
    "_cp_options": "torch.distributed.tensor.experimental._context_parallel._attention",
    "all_to_all_single_autograd": "torch.distributed._functional_collectives",
    "wait_tensor": "torch.distributed._functional_collectives",
    "PipelineStage": "torch.distributed.pipelining",
    "ScheduleGPipe": "torch.distributed.pipelining",
    "Schedule1F1B": "torch.distributed.pipelining",
    "ScheduleInterleaved1F1B": "torch.distributed.pipelining",
    "_clear_python_sharding_prop_cache": "torch.distributed.tensor.debug",
    "_clear_fast_path_sharding_prop_cache": "torch.distributed.tensor.debug",
}


def find(name: str) -> Any:
    """Return the part of PyTorch called *name*, one of `PARTS`.

    Raises:
        InstallationError: This version of PyTorch lacks it.
    """
    module = PARTS[name]
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"torch {torch.__version__} has no {module}.{name}, which a world needs; install torch 2.11 or newer"
        raise InstallationError(msg) from error
