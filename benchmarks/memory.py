"""Compare the counted peak memory with the peak of CUDA's allocator, for inference and for a training step.

    python benchmarks/memory.py                        # on the GPU that torch finds
    python benchmarks/memory.py resnet50 --batch 8

The counted peak is the sum of tensor storages. The allocator also includes the workspace of kernels, and rounds up.
"""

from __future__ import annotations

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


def main(*models: str, batch: int = 8) -> None:
    """Print the table.

    Args:
        models: Names of targets; eight by default.
        batch: Size of the batch.
    """
    if not torch.cuda.is_available():
        sys.exit(
            "no CUDA device: the CPU's allocator reports no peak (tests/trace/test_storage_tracker.py reads its events)"
        )
    table = Table("model", "mode", "counted", "measured", "measured / counted")
    for name in models or MODELS:
        for mode, options in MODES.items():
            profile = count_target(name, batch=batch, device="cuda", notify=print, run=options.run)
            counted, measured = profile.memory.peak.total, profile.memory.measured
            table.add_row(name, mode, units.size(counted), units.size(measured), f"{measured / counted:.3f}")
    Console().print(table)
    Console().print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {datetime.now(tz=UTC):%Y-%m-%d}")


if __name__ == "__main__":
    cyclopts.run(main)
