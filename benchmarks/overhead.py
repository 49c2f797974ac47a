"""What profiling takes: beside a bare run, the empty dispatch mode, and other counters, in processor time.

    python benchmarks/overhead.py                              # forward passes on the CPU
    python benchmarks/overhead.py --train                      # training steps: forward and backward
    python benchmarks/overhead.py resnet18 --runs 15 --devices cpu meta
    python benchmarks/overhead.py --before ../old              # and another checkout of this project, in the same run

Every way runs in turn on the same model, in one process; the figures are medians, and only their ratios are meant to be
quoted. `empty` is a `TorchDispatchMode` that does nothing: the floor of any counter that sees every operator. `spread`
is the middle half of its times, relative to the median. A counter that fails on a model, or counts no training step,
shows "-"; one that is not installed is left out (`pip install fvcore thop ptflops`).
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import platform
import statistics
import sys
import time
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import cyclopts
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import profiler
from profiler.targets import build, make_inputs, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn

    Run = Callable[[nn.Module, tuple, dict], object]

MODELS = ("mobilenet_v3_small", "efficientnet_b0", "densenet121", "resnet18", "vit_b_16", "hf:gpt2")
INPUTS = {"hf:gpt2": ["input_ids=1x256"]}  # long enough to work, short enough to repeat


class Empty(TorchDispatchMode):
    """Sees every operator, and does nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204, D105
        return func(*args, **(kwargs or {}))


def step(model, args, kwargs):  # noqa: ANN001, ANN201
    """Run a forward pass; with gradients enabled also the backward pass of the sum of its output."""
    output = model(*args, **kwargs)
    if torch.is_grad_enabled():
        (output if isinstance(output, torch.Tensor) else next(iter(output.values()))).sum().backward()
    return output


def bare(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    return step(model, args, kwargs)


def empty(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with Empty():
        return step(model, args, kwargs)


def ours(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with profiler.profile(model) as p:
        step(model, args, kwargs)
    return p


def ours_with_result(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    return ours(model, args, kwargs).totals.macs


def torch_counter(model, args, kwargs):  # noqa: ANN001, ANN201, D103
    with FlopCounterMode(display=False) as counter:
        step(model, args, kwargs)
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


PEERS = frozenset({"fvcore", "thop", "ptflops"})
WAYS: dict[str, Run] = {
    "bare": bare, "empty": empty, "profiler": ours, "profiler, read": ours_with_result,
    "FlopCounterMode": torch_counter, "fvcore": fvcore, "thop": thop, "ptflops": ptflops,
}  # fmt: skip


def another_checkout(folder: str) -> Run:
    """Return what profiles and reads with the package in another folder; ours stays imported beside it."""
    theirs: dict[str, object] = {}

    def loaded() -> dict[str, object]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "profiler"}

    @contextlib.contextmanager
    def swapped() -> Iterator[None]:
        mine = loaded()
        for name in mine:
            del sys.modules[name]
        sys.modules.update(theirs)  # type: ignore[arg-type]
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            theirs.update(loaded())
            for name in theirs:
                sys.modules.pop(name, None)
            sys.modules.update(mine)  # type: ignore[arg-type]

    def run(model, args, kwargs):  # noqa: ANN001, ANN202
        with swapped(), import_module("profiler").profile(model) as p:
            step(model, args, kwargs)
            result = p
        with swapped():
            return result.totals.macs

    return run


def seconds(way: Run, model: nn.Module, args: tuple, kwargs: dict) -> float | None:
    """Time one run; None where the counter fails. Nothing that it prints is let through."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model.zero_grad(set_to_none=True)
        gc.collect()
        start = time.process_time()
        try:
            way(model, args, kwargs)
        except Exception:  # noqa: BLE001 - whatever a counter raises, it failed
            return None
        return time.process_time() - start


def times(name: str, device: str, runs: int, ways: dict[str, Run], *, train: bool) -> dict[str, list[float | None]]:
    """Time every way in turn, *runs* times over, after two rounds that are not counted."""
    target = resolve(name)
    model = build(target, device=device).train(train)
    args, kwargs = make_inputs(target, model, INPUTS.get(name, ()), device=device)
    found: dict[str, list[float | None]] = {key: [] for key in ways}
    with torch.set_grad_enabled(train):
        for _ in track(
            range(runs + 2), description=f"{name} on {device}", console=Console(stderr=True), transient=True
        ):
            for key, way in ways.items():
                found[key].append(seconds(way, model, args, kwargs))
    return {key: values[2:] for key, values in found.items()}


def row(found: dict[str, list[float | None]], columns: Sequence[str]) -> list[str]:
    """Return the medians of a model: milliseconds of a bare run and of the empty mode, ratios to it, and its spread."""
    medians = {key: None if None in values else statistics.median(values) for key, values in found.items()}
    floor = medians["empty"] or 1.0
    low, _, high = statistics.quantiles([value or 0.0 for value in found["empty"]], n=4)
    ratios = [f"{medians[key] / floor:.2f}" if medians[key] else "-" for key in columns]
    return [f"{1e3 * (medians['bare'] or 0):.1f}", f"{1e3 * floor:.1f}", *ratios, f"{(high - low) / floor:.2f}"]


def main(
    *models: str,
    devices: Annotated[list[str], cyclopts.Parameter(consume_multiple=True)] = ["cpu"],  # noqa: B006
    runs: int = 11,
    train: bool = False,
    before: str | None = None,
) -> None:
    """Print the table, as Markdown.

    Args:
        models: Which models; six by default.
        devices: Where to run them.
        runs: How many counted rounds.
        train: Time training steps.
        before: The folder of another checkout, to profile and read with too.
    """
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    peers = () if train else ("fvcore", "thop", "ptflops")
    ways = {key: way for key, way in WAYS.items() if key not in PEERS or (key in peers and find_spec(key))}
    if before is not None:
        ways["before, read"] = another_checkout(before)
    columns = [key for key in ways if key not in {"bare", "empty"}]
    table = Table("model", "device", "bare, ms", "empty, ms", *columns, "spread", box=box.MARKDOWN)
    for device in devices:
        for name in models or MODELS:
            table.add_row(name, device, *row(times(name, device, runs, ways, train=train), columns))
    Console(width=200).print(table)
    print(f"ratios to the processor time of the empty mode; medians of {runs} interleaved runs;", end=" ")
    print(f"{platform.machine()}, 1 thread,", end=" ")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    cyclopts.run(main)
