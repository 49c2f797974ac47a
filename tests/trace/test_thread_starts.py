"""Work on threads that a profiled block starts, outside of the model's modules."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
import torch
from torch import nn

import profiler

X = torch.ones(2, 8)
PRODUCT = 2 * 8 * 8


def on_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


class Subclass(threading.Thread):
    def run(self) -> None:
        X @ X.t()


def by_a_subclass_of_thread(_):
    thread = Subclass()
    thread.start()
    thread.join()


def on_a_new_pool(function):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: function(), range(1)))


def on_a_pool_of_multiprocessing(function):
    with ThreadPool(1) as pool:
        pool.apply(function)


@pytest.mark.parametrize("run", [on_a_thread, by_a_subclass_of_thread, on_a_new_pool, on_a_pool_of_multiprocessing])
def test_a_plain_function_on_a_thread_is_counted(run):
    with profiler.profile(nn.Linear(8, 8)) as p:
        run(lambda: X @ X.t())
    assert p.totals.macs == 2 * 8 * 2
    assert p.nodes["(outside)"].own.macs == 2 * 8 * 2


def test_a_plain_function_on_a_pool_that_was_there_before_is_counted():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with profiler.profile(nn.Linear(8, 8)) as p:
            pool.submit(lambda: X @ X.t()).result()
        pool.submit(lambda: X @ X.t()).result()
    assert p.totals.macs == 2 * 8 * 2


def by_map(pool):
    pool.map(lambda _: X @ X.t(), [0])


def by_map_async(pool):
    pool.starmap_async(lambda *_: X @ X.t(), [(0, 0)]).get()


def by_apply_async(pool):
    pool.apply_async(lambda: X @ X.t()).get()


def by_imap(pool):
    list(pool.imap(lambda _: X @ X.t(), [0]))


@pytest.mark.parametrize("run", [by_map, by_map_async, by_apply_async, by_imap])
def test_a_plain_function_on_a_pool_of_multiprocessing_that_was_there_before_is_counted(run):
    with ThreadPool(1) as pool:
        pool.apply(int)
        with profiler.profile(nn.Linear(8, 8)) as p:
            run(pool)
        run(pool)
    assert p.totals.macs == 2 * 8 * 2


class StartsOne(nn.Module):
    """Starts a thread that multiplies; it goes on after the call has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.begin, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        self.begin.wait()
        X @ X.t()
        self.ended.set()

    def forward(self, x):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return x


class WaitsFor(nn.Module):
    """Lets the thread of another module work, and waits for it."""

    def __init__(self, other) -> None:
        super().__init__()
        self.others = [other]

    def forward(self, x):
        self.others[0].begin.set()
        self.others[0].thread.join()
        return x


def test_what_a_thread_runs_is_work_of_the_module_that_started_it_also_while_another_runs():
    first = StartsOne()
    p = profiler.count(nn.Sequential(first, WaitsFor(first)), X)
    assert (p.nodes["0"].own.macs, p.nodes["1"].own.macs) == (2 * 8 * 2, 0)


def test_what_a_gradient_hook_runs_on_a_thread_is_backward_work_of_the_module():
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False), nn.ReLU())

    def hook(gradient):
        on_a_thread(lambda: gradient @ gradient.t())

    with profiler.profile(model) as p:
        hidden = model[0](X)
        output = model[1](hidden)
        output.register_hook(hook)
        output.sum().backward()
    assert p.phases["forward"].macs == 2 * PRODUCT
    assert p.phases["backward"].macs == 3 * PRODUCT + 2 * 8 * 2
    assert p.nodes["1"].own.macs == 3 * PRODUCT + 2 * 8 * 2


def test_a_plain_function_that_a_forward_runs_on_a_thread_is_work_of_its_module():
    class Threaded(nn.Module):
        def forward(self, x):
            on_a_thread(lambda: x @ x.t())
            return x

    p = profiler.count(nn.Sequential(nn.Linear(8, 8, bias=False), Threaded()), X)
    assert p.nodes["1"].own.macs == 2 * 8 * 2


@pytest.mark.parametrize("run", [on_a_thread, on_a_new_pool])
def test_a_backward_pass_on_a_thread_is_counted_for_the_modules_of_its_forward(run):
    model = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(2)))
    with profiler.profile(model) as p:
        loss = model(X).sum()
        run(loss.backward)
    assert p.phases["backward"].macs == 3 * PRODUCT
    assert [p.nodes[path].own.macs for path in ("0", "1")] == [2 * PRODUCT, 3 * PRODUCT]


def test_a_thread_that_was_started_elsewhere_is_left_alone():
    begin, ended = threading.Event(), threading.Event()

    def other():
        begin.wait()
        on_a_thread(lambda: X @ X.t())
        ended.set()

    thread = threading.Thread(target=other)
    thread.start()
    with profiler.profile(nn.Linear(8, 8)) as p:
        begin.set()
        ended.wait()
    thread.join()
    assert p.totals.macs == 0


def test_the_methods_of_threads_and_pools_are_as_before():
    before = threading.Thread.start, ThreadPoolExecutor.submit, dict(vars(ThreadPool))
    with profiler.profile(nn.Linear(8, 8)), profiler.profile(nn.Linear(8, 8)):
        assert threading.Thread.start is not before[0]
    assert (threading.Thread.start, ThreadPoolExecutor.submit, dict(vars(ThreadPool))) == before
