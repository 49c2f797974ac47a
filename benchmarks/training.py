"""By which factor torch's FlopCounterMode overcounts the training step of models with grouped convolutions.

    python benchmarks/training.py
    python benchmarks/training.py resnet50 mobilenet_v2

It does not divide the gradient of a grouped convolution's weight by the groups. Both count the same step, on meta.
"""

from __future__ import annotations

import cyclopts
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

import profiler
from profiler.targets import build, make_inputs, resolve

MODELS = (
    "efficientnet_b0", "mobilenet_v2", "mobilenet_v3_large", "convnext_tiny", "shufflenet_v2_x1_0", "resnext50_32x4d",
)  # fmt: skip


def main(*models: str) -> None:
    """Print the table.

    Args:
        models: Which models; those with grouped convolutions by default.
    """
    table = Table("model", "2·MACs, profiler", "FlopCounterMode", "factor")
    for name in models or MODELS:
        target = resolve(name)
        model = build(target).train()
        args, kwargs = make_inputs(target, model, batch=2)
        ours = 2 * profiler.count_step(model, *args, **kwargs).totals.macs
        with FlopCounterMode(display=False) as counter:
            model(*args, **kwargs).sum().backward()
        theirs = counter.get_total_flops()
        table.add_row(name, f"{ours:,}", f"{theirs:,}", f"{theirs / ours:.2f}")
    Console().print(table)
    Console().print(f"batch 2, torch {torch.__version__}")


if __name__ == "__main__":
    cyclopts.run(main)
