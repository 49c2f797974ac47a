"""Profiles that overlap: in one thread, in the tasks of an event loop, and in several threads."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import nn
from torch.nn.modules import module as module_hooks
from torch.utils import _python_dispatch

import profiler
from profiler.errors import OverlapError

X = torch.zeros(1, 4)
ONE = 16  # MACs of a call


def layer() -> nn.Linear:
    return nn.Linear(4, 4)


def assert_nothing_is_left() -> None:
    assert not module_hooks._global_forward_hooks
    assert not module_hooks._global_forward_pre_hooks
    assert _python_dispatch._get_current_dispatch_mode_stack() == []
    assert not _python_dispatch._is_in_torch_dispatch_mode


def test_a_profile_that_ends_before_one_inside_it_is_an_error():
    model = layer()
    a, b = profiler.profile(model), profiler.profile(model)
    a.__enter__()
    model(X)
    b.__enter__()
    model(X)
    with pytest.raises(OverlapError, match=r"^a profile ended before another one that began inside it"):
        a.__exit__(None, None, None)
    model(X)
    b.__exit__(None, None, None)
    assert_nothing_is_left()
    with pytest.raises(OverlapError):
        _ = a.totals
    assert b.totals.macs == 2 * ONE


def test_the_error_of_a_block_is_not_replaced():
    model = layer()
    a, b = profiler.profile(model), profiler.profile(model)
    with pytest.raises(ZeroDivisionError), a:  # noqa: PT012
        b.__enter__()
        _ = 1 // 0
    b.__exit__(None, None, None)
    assert_nothing_is_left()


def test_generators_that_take_turns_are_an_error():
    model = layer()

    def work(times: int):
        with profiler.profile(model) as p:
            for _ in range(times):
                model(X)
                yield
        return p

    first, second = work(2), work(3)
    for generator in (first, second, first, second):
        next(generator)
    with pytest.raises(OverlapError):
        next(first)
    next(second)
    with pytest.raises(StopIteration):
        next(second)
    assert_nothing_is_left()


def test_a_context_manager_made_of_a_generator_counts_its_block():
    model = layer()

    @contextmanager
    def counting():
        with profiler.profile(model) as p:
            yield p

    with ExitStack() as stack:
        p = stack.enter_context(counting())
        inner = stack.enter_context(counting())
        model(X)
    assert (p.totals.macs, inner.totals.macs) == (ONE, ONE)


def test_tasks_that_take_turns_count_their_own_work_only():
    model = layer()

    async def work(times: int) -> int:
        with profiler.profile(model) as p:
            for _ in range(times):
                model(X)
                await asyncio.sleep(0)
        return p.totals.macs

    async def main() -> list[int]:
        return await asyncio.gather(work(2), work(5), work(3))

    assert asyncio.run(main()) == [2 * ONE, 5 * ONE, 3 * ONE]
    assert_nothing_is_left()


def test_a_profile_counts_the_tasks_made_in_its_block():
    model = layer()

    async def work() -> int:
        await asyncio.sleep(0)
        with profiler.profile(model) as own:
            model(X)
            await asyncio.sleep(0)
        return own.totals.macs

    async def main() -> tuple[int, list[int]]:
        with profiler.profile(model) as whole:
            each = await asyncio.gather(work(), work())
        return whole.totals.macs, each

    assert asyncio.run(main()) == (2 * ONE, [ONE, ONE])


def test_a_profile_around_an_event_loop_counts_every_task():
    model = layer()

    async def work() -> None:
        model(X)
        await asyncio.sleep(0)
        model(X)

    loop = asyncio.new_event_loop()
    task = loop.create_task(work())
    with profiler.profile(model) as p:
        loop.run_until_complete(task)
    loop.close()
    assert p.totals.macs == 2 * ONE


def test_a_profile_begun_in_a_task_that_has_ended_counts_the_next():
    model, p = layer(), None

    async def begin() -> None:
        nonlocal p
        p = profiler.profile(model)
        p.__enter__()

    async def work() -> None:
        model(X)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.run_until_complete(work())
    p.__exit__(None, None, None)
    loop.close()
    assert p.totals.macs == ONE


def test_a_profile_that_ends_on_another_thread_is_an_error():
    p, errors = profiler.profile(layer()), []

    def end() -> None:
        try:
            p.__exit__(None, None, None)
        except OverlapError as error:
            errors.append(str(error))

    done = threading.Event()

    def begin() -> None:
        p.__enter__()
        other = threading.Thread(target=end)
        other.start()
        other.join()
        done.set()

    thread = threading.Thread(target=begin)  # a thread that ends: the mode that it cannot remove goes with it
    thread.start()
    thread.join()
    assert errors == ["a profile ended on another thread than it began; begin and end it on one thread"]
    assert not module_hooks._global_forward_hooks


def test_two_overlapping_threads_leave_the_compiler_and_the_warnings_alone():
    import torch._dynamo

    model = layer()
    first_began, second_began, first_ended = (threading.Event() for _ in range(3))
    filters, limit = len(warnings.filters), sys.getrecursionlimit()

    def first() -> None:
        with profiler.profile(model):
            first_began.set()
            second_began.wait()
        first_ended.set()

    def second() -> None:
        first_began.wait()
        with profiler.profile(model):
            second_began.set()
            first_ended.wait()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    graphs = []
    torch.compile(lambda z: z * 2, backend=lambda graph, _inputs: graphs.append(1) or graph.forward)(torch.ones(3))
    assert torch._dynamo.eval_frame._stance.stance == "default"
    assert graphs
    assert (len(warnings.filters), sys.getrecursionlimit()) == (filters, limit)
    assert_nothing_is_left()


def test_what_the_user_sets_in_the_block_stays_set():
    import torch._dynamo

    previous = torch._dynamo.eval_frame._stance
    try:
        with warnings.catch_warnings():
            with profiler.profile():
                warnings.filterwarnings("ignore", message="a filter of the user")
                torch.compiler.set_stance("eager_on_recompile")
            assert any("a filter of the user" in str(entry[1]) for entry in warnings.filters)
            assert torch._dynamo.eval_frame._stance.stance == "eager_on_recompile"
    finally:
        torch._dynamo.eval_frame._set_stance(previous)


def test_a_users_mode_that_outlives_the_profile_stays():
    class Silent(_python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    mode = Silent()
    with profiler.profile() as p:
        mode.__enter__()
        torch.ones(2) + 1
    assert _python_dispatch._get_current_dispatch_mode_stack() == [mode]
    mode.__exit__(None, None, None)
    assert_nothing_is_left()
    assert p.totals.other_flops == 2
