"""Counts in threads, tasks, forks, workers and compiled functions: the same numbers, and the process as before.

Every context counts the same model as a plain call does. The state of the process is compared around each.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import pickle
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import profiler
from profiler.values.findings import Verdict
from trust_checks.outcome import Outcome
from trust_checks.snapshots import differences, own_temporary_folder, process_state

_X = torch.ones(4, 8)
#: Rounds of each context, and of a quick run.
_ROUNDS, _QUICK = 25, 1


class Net(nn.Module):
    """Two layers and a norm: 4 · (8 · 16 + 16 · 8) MACs."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values."""
        return self.second(self.norm(self.first(x)).relu())


_MACS = 4 * (8 * 16 + 16 * 8)


def macs() -> int:
    """Count a model of its own."""
    return profiler.count(Net(), _X).totals.macs


def macs_of_a_block() -> int:
    """Count the block of a call."""
    model = Net()
    with profiler.profile(model) as p:
        model(_X)
    return p.totals.macs


def _nested() -> list[int]:
    model = Net()
    with profiler.profile(model) as outer:
        model(_X)
        with profiler.profile(model) as inner:
            model(_X)
        counted = profiler.count(model, _X)
    return [outer.totals.macs - 2 * _MACS, inner.totals.macs, counted.totals.macs]


def _threads() -> list[int]:
    results: list[int] = []
    both = threading.Barrier(4)

    def work() -> None:
        both.wait()
        results.append(macs())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [*results, *[0] * (4 - len(results))]


def _a_thread_of_the_model() -> list[int]:
    model, result = Net(), []
    with profiler.profile(model) as p:
        thread = threading.Thread(target=lambda: result.append(model(_X)))
        thread.start()
        thread.join()
    return [p.totals.macs]


def _tasks() -> list[int]:
    async def work() -> int:
        model = Net()
        with profiler.profile(model) as p:
            await asyncio.sleep(0)
            model(_X)
            await asyncio.sleep(0)
        return p.totals.macs

    async def together() -> list[int]:
        return list(await asyncio.gather(*(work() for _ in range(5))))

    return asyncio.run(together())


class _Counts(Dataset[int]):
    """A data set whose items are counted in the worker."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, _: int) -> int:
        return macs()


def _workers_that_count() -> list[int]:
    return [int(value) for batch in DataLoader(_Counts(), num_workers=2) for value in batch]


def _workers_inside_a_block() -> list[int]:
    model = Net()
    with profiler.profile(model) as p:
        for batch in DataLoader(list(_X), batch_size=4, num_workers=2):
            model(batch)
    return [p.totals.macs]


def in_a_fork(work: Callable[[], object]) -> object:
    """Return what *work* returns in a forked process; None if it ends without."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(writer, "wb") as file:
                pickle.dump(work(), file)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None  # noqa: S301 - our own


def _fork() -> list[object]:
    return [in_a_fork(macs), in_a_fork(macs_of_a_block)]


def _fork_inside_a_block() -> list[object]:
    model = Net()
    with profiler.profile(model) as p:
        inside = in_a_fork(lambda: _counts_inside(model, p))
        model(_X)
    return [inside, p.totals.macs]


def _counts_inside(model: nn.Module, p: profiler.profile) -> int:
    model(_X)
    return p.totals.macs


def _spawn() -> list[object]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return [pool.apply(macs)]


def _compiled() -> list[int]:
    model = torch.compile(Net(), backend="eager")
    counted = profiler.count(model, _X).totals.macs
    torch._dynamo.reset()
    return [counted]


def _inside_a_compiled_function() -> list[int]:
    @torch.compile(backend="eager")
    def function(x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x + 1, macs()

    counted = function(_X)[1]
    torch._dynamo.reset()
    return [counted]


def _block_inside_a_compiled_function() -> list[int]:
    """A block cannot begin there, and says so: the compiler is as before."""

    @torch.compile(backend="eager")
    def function() -> int:
        return macs_of_a_block()

    try:
        function()
    except profiler.errors.InputError:
        return [macs()]
    finally:
        torch._dynamo.reset()
    return [0]


class _Aborts(Net):
    """A model that ends any process but the one that made it."""

    def __init__(self) -> None:
        super().__init__()
        self.process = os.getpid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the values, in its own process."""
        if os.getpid() != self.process:
            os.abort()
        return super().forward(x)


def _a_peer_that_aborts() -> list[int]:
    model = _Aborts()
    with profiler.profile(model) as p:
        model(_X)
    failed = all(finding.verdict is Verdict.FAILED for finding in p.compare("thop"))
    return [p.totals.macs if failed else 0]


CONTEXTS: dict[str, Callable[[], list[object]]] = {
    "nested": _nested, "threads": _threads, "a thread of the model": _a_thread_of_the_model, "tasks": _tasks,
    "fork": _fork, "fork inside a block": _fork_inside_a_block, "workers that count": _workers_that_count,
    "workers inside a block": _workers_inside_a_block, "compiled": _compiled,
    "inside a compiled function": _inside_a_compiled_function,
    "block inside a compiled function": _block_inside_a_compiled_function,
}  # fmt: skip
#: Those that start a Python, which takes seconds.
SLOW = {"spawn": _spawn, "a peer that aborts": _a_peer_that_aborts}


def run(*, quick: bool, seed: int) -> Outcome:
    """Count in every context."""
    del seed  # nothing is drawn
    torch.set_num_threads(1)  # torch's own threads do not survive a fork: a batch norm hangs there
    rounds = _QUICK if quick else _ROUNDS
    chosen = [*list(CONTEXTS.items()) * rounds, *([] if quick else list(SLOW.items()) * 5)]
    with (
        own_temporary_folder(),
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for context in {**CONTEXTS, **({} if quick else SLOW)}.values():
            context()  # the first one imports, and starts multiprocessing's helper
        lost = [f"{name}: {wrong}" for name, context in chosen if (wrong := attempt(context))]
    return Outcome(len(chosen), f"counts in {len(CONTEXTS) + (not quick) * len(SLOW)} contexts", tuple(lost))


#: What is drawn to make models; and what torch's workers and multiprocessing take down in their own time.
_NOT_COMPARED = frozenset({"generators", "open files", "child processes", "threads"})


def attempt(context: Callable[[], list[object]]) -> str:
    """Count in a context; return what is wrong."""
    before = process_state()
    try:
        counted = context()
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"it raised {error!r:.200}"
    wrong = [value for value in counted if value != _MACS]
    changed = [name for name in differences(before, process_state()) if name not in _NOT_COMPARED]
    return ", ".join([*changed, *(["it counted " + str(wrong)] if wrong else [])])
