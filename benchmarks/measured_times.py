"""Measure the time of models on this machine's accelerator (or CPU), and write one CSV row for each.

    python benchmarks/measured_times.py --output times.csv
    python benchmarks/measured_times.py resnet50 timm:vit_small_patch16_224 --mode compiled --batch 1 --batch 64

Each time is the median of several runs after warm-up, with the device synchronised. ``amp`` is autocast to float16 over
float32 weights; ``float16`` and ``bfloat16`` convert the model. A training step is forward, the sum of the outputs,
backward, and a step of AdamW. What fails is printed and left out.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
import warnings
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cyclopts
import torch

from profiler.targets import build, make_inputs, resolve
from profiler.util.timing import time_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

MODELS = (
    "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2", "mobilenet_v3_large",
    "mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2_s", "regnet_y_1_6gf", "shufflenet_v2_x1_0", "mnasnet1_0",
    "squeezenet1_1", "alexnet", "vgg16", "googlenet", "convnext_tiny", "swin_t", "swin_v2_t", "vit_b_16", "maxvit_t",
    "timm:convmixer_768_32", "timm:pvt_v2_b2", "timm:fastvit_t8", "timm:mixer_b16_224", "timm:deit_small_patch16_224",
    "timm:levit_256", "timm:efficientvit_b1", "timm:coatnet_0_rw_224",
)  # fmt: skip
FIELDS = (
    "target", "batch", "input", "precision", "mode", "step", "ms", "spread", "device", "torch", "date",
)  # fmt: skip
Precision = Literal["float32", "amp", "float16", "bfloat16"]
Mode = Literal["eager", "compiled"]
Step = Literal["inference", "training"]
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def main(
    *models: str,
    output: Path = Path("times.csv"),
    device: str = "cuda",
    batch: tuple[int, ...] = (1, 64),
    precision: tuple[Precision, ...] = ("amp",),
    mode: tuple[Mode, ...] = ("eager",),
    step: tuple[Step, ...] = ("inference",),
    runs: int = 20,
    seconds: float = 540,
) -> None:
    """Measure, and append to the CSV after each model.

    Args:
        models: Names of targets; thirty by default.
        output: The CSV.
        device: cuda or cpu.
        batch: Sizes of the batch.
        precision: Types to compute in.
        mode: eager or compiled.
        step: inference or training.
        runs: Number of timed runs.
        seconds: Stop before the next model after this time.
    """
    warnings.filterwarnings("ignore")
    torch.backends.cudnn.benchmark = True
    start = time.monotonic()
    with output.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not file.tell():
            writer.writeheader()
        for name in models or MODELS:
            for case in ((b, p, m, s) for s in step for m in mode for p in precision for b in batch):
                if time.monotonic() - start > seconds:
                    sys.exit(f"stopped before {name} after {seconds:g} s")
                row = _row(name, device, case, runs)
                if row:
                    writer.writerow(row)
                    file.flush()


def _row(name: str, device: str, case: tuple[int, Precision, Mode, Step], runs: int) -> dict[str, object] | None:
    """Return the measurement of one case, or ``None`` if it fails."""
    size, precision, mode, step = case
    try:
        call, shape = _call(name, device, size, precision, mode, step)
        times_ms = [1e3 * seconds for seconds in time_calls(call, torch.device(device), runs=runs, warmup_runs=6)]
    except Exception as error:  # noqa: BLE001
        print(f"{name} {case}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
        return None
    finally:
        torch.compiler.reset()
        if device == "cuda":
            torch.cuda.empty_cache()
    middle = statistics.median(times_ms)
    low, *_, high = statistics.quantiles(times_ms, n=10)
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    values = (
        name, size, shape, precision, mode, step, f"{middle:.4f}", f"{(high - low) / middle:.3f}", where,
        torch.__version__, f"{datetime.now(tz=UTC):%Y-%m-%d}",
    )  # fmt: skip
    print(*values[:8], file=sys.stderr)
    return dict(zip(FIELDS, values, strict=True))


def _call(
    name: str, device: str, size: int, precision: Precision, mode: Mode, step: Step
) -> tuple[Callable[[], object], str]:
    """Return what is timed, and the shape of a sample."""
    target = resolve(name)
    model = build(target, device=device).train(step == "training")
    args, kwargs = make_inputs(target, model, batch=size, device=device)
    shape = "x".join(str(length) for length in args[0].shape[1:]) if args else ""
    if dtype := _DTYPES.get(precision):
        model = model.to(dtype)
        args = [x.to(dtype) if x.is_floating_point() else x for x in args]
    cast = torch.autocast(device, torch.float16) if precision == "amp" else nullcontext()
    run = torch.compile(model) if mode == "compiled" else model
    if step == "training":
        return _training_step(model, run, args, kwargs, cast), shape

    def forward() -> object:
        with torch.inference_mode(), cast:
            return run(*args, **kwargs)

    return forward, shape


def _training_step(model: nn.Module, run: Callable[..., object], args, kwargs, cast) -> Callable[[], object]:  # noqa: ANN001
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with cast:
            out = run(*args, **kwargs)
        _sum(out).backward()
        optimizer.step()

    return step


def _sum(out: object) -> torch.Tensor:
    """Return the sum of all floating-point tensors in *out*."""
    leaves, _ = torch.utils._pytree.tree_flatten(out)
    return sum(x.float().sum() for x in leaves if isinstance(x, torch.Tensor) and x.is_floating_point())


if __name__ == "__main__":
    cyclopts.run(main)
