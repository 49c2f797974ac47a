"""How time and memory grow with the size of a model: layers, modules, nesting, and tokens that it generates.

    python benchmarks/growth.py

The exponent is the slope of a straight line through the logarithms: 1 is linear. Each time is processor time, the least
of several runs on one thread; each memory the peak of Python's own allocations; of a profile that is made and read.
What a model of one layer, module or token takes is not of the growth, and is taken off. The models are narrow, and on
the CPU: on meta torch spends up to a millisecond on an operator, which would hide what the profile takes.
"""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cyclopts
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

import profiler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAYERS = (12, 24, 48, 96)
MODULES = (100, 316, 1_000, 3_162, 10_000)
DEPTHS = (15, 30, 60, 120)
TOKENS = (32, 64, 128, 256)
_WIDTH = 64
_GROUP = 10


class Block(nn.Module):
    """A layer of a transformer, before its norms."""

    def __init__(self) -> None:
        """Make its seven parts."""
        super().__init__()
        self.attention_norm, self.norm = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.qkv, self.out = nn.Linear(_WIDTH, 3 * _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.up, self.act, self.down = nn.Linear(_WIDTH, 4 * _WIDTH), nn.GELU(), nn.Linear(4 * _WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend, then transform: ``(B, L, D)``."""
        q, k, v = self.qkv(self.attention_norm(x)).chunk(3, -1)
        x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v))
        return x + self.down(self.act(self.up(self.norm(x))))


def of_layers(count: int) -> tuple[nn.Module, torch.Tensor]:
    """Make a transformer of *count* layers, and its input."""
    return nn.Sequential(*(Block() for _ in range(count))), torch.ones(1, 16, _WIDTH)


def of_modules(count: int) -> tuple[nn.Module, torch.Tensor]:
    """Make *count* linear layers, ten to a container, and their input."""
    groups = [range(start, min(start + _GROUP, count)) for start in range(0, count, _GROUP)]
    return nn.Sequential(*(nn.Sequential(*(nn.Linear(8, 8) for _ in g)) for g in groups)), torch.ones(1, 8)


class Decoder(nn.Module):
    """Generates tokens one at a time, with a key-value cache that grows by one with each."""

    def __init__(self, tokens: int) -> None:
        """Make its layers, to generate so many *tokens*."""
        super().__init__()
        self.tokens = tokens
        self.layers = nn.ModuleList(nn.Linear(_WIDTH, 3 * _WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Generate: each token is the output of the last layer for the one before, ``(B, 1, D)``."""
        caches: list[torch.Tensor | None] = [None] * len(self.layers)
        for _ in range(self.tokens):
            for i, layer in enumerate(self.layers):
                q, k, v = layer(x).chunk(3, -1)
                kv, old = torch.stack((k, v)), caches[i]
                caches[i] = kv = kv if old is None else torch.cat((old, kv), 2)
                x = nn.functional.scaled_dot_product_attention(q, kv[0], kv[1])
        return x


def of_tokens(count: int) -> tuple[nn.Module, torch.Tensor]:
    """Make a decoder that generates *count* tokens, and its input."""
    return Decoder(count), torch.ones(1, 1, _WIDTH)


def of_depth(count: int) -> tuple[nn.Module, torch.Tensor]:
    """Make *count* containers, each in the one before, with a layer in each, and their input."""
    model = nn.Sequential(nn.Linear(8, 8))
    for _ in range(count - 1):
        model = nn.Sequential(model, nn.Linear(8, 8))
    return model, torch.ones(1, 8)


FAMILIES: dict[str, tuple[Callable[[int], tuple[nn.Module, torch.Tensor]], Sequence[int]]] = {
    "layers": (of_layers, LAYERS),
    "modules": (of_modules, MODULES),
    "nesting": (of_depth, DEPTHS),
    "tokens": (of_tokens, TOKENS),
}


@dataclass(frozen=True, slots=True)
class Growth:
    """A figure at several sizes."""

    family: str
    figure: str
    sizes: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The slope of the least-squares line through the logarithms."""
        xs, ys = [math.log(size) for size in self.sizes], [math.log(value) for value in self.values]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        along = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
        return along / sum((x - mean_x) ** 2 for x in xs)


def profiled(model: nn.Module, x: torch.Tensor) -> int:
    """Profile one forward pass, and read the whole tree."""
    with torch.no_grad(), profiler.profile(model) as p:
        model(x)
    return p.totals.macs + len(p.nodes) + len(p.operators)


def bare(model: nn.Module, x: torch.Tensor) -> None:
    """Run one forward pass."""
    with torch.no_grad():
        model(x)


def seconds(work: Callable[[nn.Module, torch.Tensor], object], model: nn.Module, x: torch.Tensor) -> float:
    """Time one run, with the garbage collector held off."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        work(model, x)
        return time.process_time() - start
    finally:
        gc.enable()


def peak_bytes(model: nn.Module, x: torch.Tensor) -> int:
    """Measure the peak of what Python allocates for a profile."""
    gc.collect()
    tracemalloc.start()
    try:
        profiled(model, x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


#: What is measured of a model and its input.
FIGURES: dict[str, Callable[[nn.Module, torch.Tensor], float]] = {
    "bare, ms": lambda model, x: 1e3 * seconds(bare, model, x),
    "profiled, ms": lambda model, x: 1e3 * seconds(profiled, model, x),
    "profile's memory, MiB": lambda model, x: peak_bytes(model, x) / 2**20,
}


def growths(family: str, runs: int = 5) -> list[Growth]:
    """Measure a family at all of its sizes, in turn, so that a machine that slows down slows all of them."""
    make, sizes = FAMILIES[family]
    models = [make(size) for size in (1, *sizes)]
    profiled(*models[0])  # formulas load, caches fill
    found = []
    for name, figure in FIGURES.items():
        rounds = [[figure(model, x) for model, x in models] for _ in range(runs)]
        one, *least = map(min, zip(*rounds, strict=True))
        found.append(Growth(family, name, tuple(sizes), tuple(value - one for value in least)))
    return found


def table(runs: int = 5) -> list[Table]:
    """Lay the growth of every family out."""
    tables = []
    for family, (_, sizes) in FAMILIES.items():
        out = Table(family, *map(str, sizes), "exponent", box=box.MARKDOWN)
        for growth in growths(family, runs):
            out.add_row(growth.figure, *(f"{value:.3g}" for value in growth.values), f"{growth.exponent:.2f}")
        tables.append(out)
    return tables


def main(*, runs: int = 5) -> None:
    """Print the tables.

    Args:
        runs: How many runs, of which the fastest counts.
    """
    torch.set_num_threads(1)
    for out in table(runs):
        Console(width=120).print(out)


if __name__ == "__main__":
    cyclopts.run(main)
