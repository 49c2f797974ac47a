"""Compare the counted peak memory with the peak of CUDA's allocator, for inference and for a training step.

    python benchmarks/memory.py                        # on the GPU that torch finds
    python benchmarks/memory.py resnet50 --batch 8
    python benchmarks/memory.py --no-workspaces        # without cuDNN, and without cuBLAS's workspace

The counted peak is the sum of tensor storages. ``requested`` is the peak of the bytes that were asked of the allocator:
storages and the workspaces of libraries. ``allocated`` is rounded up to the allocator's blocks.
"""

from __future__ import annotations

import gc
import os
import sys
from datetime import UTC, datetime

import cyclopts
import torch
from rich.console import Console
from rich.table import Table

from profiler import units
from profiler.cli.training_options import TrainingOptions
from profiler.run.count_target import count_target

MODELS = ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "densenet121", "vit_b_16", "swin_t", "hf:gpt2")
MODES = {"inference": TrainingOptions(), "training, adamw": TrainingOptions(train=True, optimizer="adamw")}


def requested_peak() -> int:
    """Return the peak of the bytes asked of the allocator, since ``with_allocator_peak`` reset it."""
    return torch.cuda.memory_stats()["requested_bytes.all.peak"]


def main(*models: str, batch: int = 8, workspaces: bool = True) -> None:
    """Print the table.

    Args:
        models: Names of targets; eight by default.
        batch: Size of the batch.
        workspaces: Let cuDNN and cuBLAS take their workspaces.
    """
    if not torch.cuda.is_available():
        sys.exit(
            "no CUDA device: the CPU's allocator reports no peak (tests/trace/test_storage_tracker.py reads its events)"
        )
    if not workspaces:
        torch.backends.cudnn.enabled = False
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":0:0"
        os.environ["CUBLASLT_WORKSPACE_SIZE"] = "0"
    table = Table("model", "mode", "counted", "requested", "allocated", "requested / counted", "allocated / counted")
    for name in models or MODELS:
        for mode, options in MODES.items():
            gc.collect()
            profile = count_target(name, batch=batch, device="cuda", notify=print, run=options.run)
            peaks = profile.memory.peak.total, requested_peak(), profile.memory.measured
            ratios = (f"{peak / peaks[0]:.3f}" for peak in peaks[1:])
            table.add_row(name, mode, *map(units.size, peaks), *ratios)
    Console(width=120).print(table)
    Console().print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {datetime.now(tz=UTC):%Y-%m-%d}")


if __name__ == "__main__":
    cyclopts.run(main)
