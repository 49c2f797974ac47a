"""Compare bound and estimate with the measured time of twelve torchvision models on this machine.

    python benchmarks/projection.py                     # the CPU, as torch is set
    python benchmarks/projection.py --threads 1
    python benchmarks/projection.py --device cuda

The rates of the machine are measured first (as for ``--on local``), then the time of each model: the median of several
forward passes after warm-up.
"""

from __future__ import annotations

import platform
import statistics
import time
import warnings

import cyclopts
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

import profiler
from profiler.projection import project
from profiler.projection.this_machine import measure_this_machine
from profiler.targets import build, make_inputs, resolve

MODELS = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "regnet_y_400mf",
    "resnet18", "resnet50", "swin_t", "vgg11", "vit_b_16",
)  # fmt: skip
FACTOR = 2


def row(name: str, device: str, runs: int) -> tuple[float, float, float]:
    """Return bound, estimate and measured time of a model in seconds."""
    machine = measure_this_machine("local" if device == "cpu" else f"local:{device}")
    target = resolve(name)
    model = build(target, device=device)
    args, kwargs = make_inputs(target, model, device=device)
    with torch.inference_mode():
        measurement = profiler.measure(model, *args, runs=runs, **kwargs)
        projection = project(profiler.count(model, *args, **kwargs), machine.device, efficiency=machine)
    return float(projection.bound_s.value), float(projection.estimate_s.value), measurement.seconds


def main(*models: str, device: str = "cpu", threads: int | None = None, runs: int = 9, anew: bool = True) -> None:
    """Print the table, as Markdown.

    Args:
        models: Names of torchvision models; twelve by default.
        device: cpu or cuda.
        threads: Number of CPU threads of torch.
        runs: Number of timed passes per model.
        anew: Measure the machine again, even if a measurement is cached.
    """
    warnings.filterwarnings("ignore")
    if threads is not None:
        torch.set_num_threads(threads)
    machine = measure_this_machine("local" if device == "cpu" else f"local:{device}", remeasure=anew)
    table = Table("model", "bound, ms", "estimate, ms", "measured, ms", "bound / measured", "estimate / measured")
    table.box = box.MARKDOWN
    ratios = []
    for name in track(models or MODELS, console=Console(stderr=True), transient=True):
        bound, estimate, measured = row(name, device, runs)
        ratios.append((bound / measured, estimate / measured))
        times = (f"{1e3 * seconds:.2f}" for seconds in (bound, estimate, measured))
        table.add_row(name, *times, *(f"{ratio:.2f}" for ratio in ratios[-1]))
    Console(width=200).print(table)
    count, below = len(ratios), sum(bound <= 1 for bound, _ in ratios)
    near = sum(max(estimate, 1 / estimate) <= FACTOR for _, estimate in ratios)
    middle = statistics.median(estimate for _, estimate in ratios)
    print(f"bound ≤ measured: {below} of {count}; estimate within {FACTOR}×: {near} of {count}, median {middle:.2f}")
    print(f"{machine.device.name}, {platform.machine()}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    cyclopts.run(main)
