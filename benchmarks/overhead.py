"""How long a profiled forward takes: beside a bare one, the empty dispatch mode, and other counters.

    python benchmarks/overhead.py                    # all models, CPU and meta
    python benchmarks/overhead.py resnet18 --runs 15

Every way runs in turn on the same model, in one process; the figures are medians, and only their ratios are meant to be
quoted. `empty` is a `TorchDispatchMode` that does nothing: the floor of any counter that sees every operator. A counter
that fails on a model shows "fails"; one that is not installed is left out (`pip install fvcore thop ptflops`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import platform
import statistics
import time
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import cyclopts
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import profiler
from profiler.targets import build, make_inputs, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    Run = Callable[[nn.Module, tuple, dict], object]

MODELS = ("resnet18", "mobilenet_v3_small", "densenet121", "vit_b_16", "swin_t", "hf:gpt2")
INPUTS = {"hf:gpt2": ["input_ids=1x256"]}  # long enough to work, short enough to repeat


class Empty(TorchDispatchMode):
    """Sees every operator, and does nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, D105
        return func(*args, **(kwargs or {}))


def bare(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    return model(*args, **kwargs)


def empty(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with Empty():
        return model(*args, **kwargs)


def ours(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with profiler.profile(model) as p:
        model(*args, **kwargs)
    return p


def ours_with_result(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    return ours(model, args, kwargs).totals.macs


def torch_counter(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with FlopCounterMode(display=False) as counter:
        model(*args, **kwargs)
    return counter.get_total_flops()


def fvcore(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    from fvcore.nn import FlopCountAnalysis

    inputs = (*args, *kwargs.values())
    return FlopCountAnalysis(model, inputs).unsupported_ops_warnings(enabled=False).total()


def thop(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    from thop import profile

    return profile(model, inputs=(*args, *kwargs.values()), verbose=False)


def ptflops(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    from ptflops import get_model_complexity_info

    inputs = dict(kwargs) or {"x": args[0]}
    if args:
        return get_model_complexity_info(model, tuple(args[0].shape[1:]), print_per_layer_stat=False, verbose=False)
    return get_model_complexity_info(
        model, (1,), input_constructor=lambda _: inputs, print_per_layer_stat=False, verbose=False
    )


WAYS: dict[str, Run] = {
    "bare": bare, "empty": empty, "profiler": ours, "profiler, read": ours_with_result,
    "FlopCounterMode": torch_counter, "fvcore": fvcore, "thop": thop, "ptflops": ptflops,
}  # fmt: skip


def seconds(way: Run, model: nn.Module, args: tuple, kwargs: dict) -> float | None:
    """Time one run; None where the counter fails. Nothing that it prints is let through."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        start = time.perf_counter()
        try:
            way(model, args, kwargs)
        except Exception:  # noqa: BLE001 - whatever a counter raises, it failed
            return None
        return time.perf_counter() - start


def medians(name: str, device: str, runs: int) -> dict[str, float | None]:
    """Time every way in turn, *runs* times over, after one round that is not counted."""
    target = resolve(name)
    model = build(target, device=device)
    args, kwargs = make_inputs(target, model, INPUTS.get(name, ()), device=device)
    ways = {key: way for key, way in WAYS.items() if key not in {"fvcore", "thop", "ptflops"} or find_spec(key)}
    times: dict[str, list[float | None]] = {key: [] for key in ways}
    with torch.no_grad():
        for _ in track(
            range(runs + 1), description=f"{name} on {device}", console=Console(stderr=True), transient=True
        ):
            for key, way in ways.items():
                times[key].append(seconds(way, model, args, kwargs))
    return {key: None if None in ts else statistics.median(ts[1:]) for key, ts in times.items()}


def main(
    *models: str,
    devices: Annotated[list[str], cyclopts.Parameter(consume_multiple=True)] = ["cpu", "meta"],  # noqa: B006
    runs: int = 9,
) -> None:
    """Print the table, as Markdown.

    Args:
        models: Which models; six by default.
        devices: Where to run them.
        runs: How many counted rounds.
    """
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    columns = list(WAYS)[2:]
    table = Table("model", "device", "bare, ms", "empty, ms", *(f"{key} / empty" for key in columns), box=None)
    lines = []
    for device in devices:
        for name in models or MODELS:
            found = medians(name, device, runs)
            floor = found["empty"] or 1.0
            ratios = [f"{found[k] / floor:.2f}" if found.get(k) else "fails" for k in columns]
            lines.append([name, device, f"{1e3 * (found['bare'] or 0):.1f}", f"{1e3 * floor:.1f}", *ratios])
    from rich import box

    table.box = box.MARKDOWN
    for line in lines:
        table.add_row(*line)
    Console(width=200).print(table)
    print(f"medians of {runs} interleaved runs; {platform.machine()}, {torch.get_num_threads()} threads, ", end="")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    cyclopts.run(main)
