"""Work on other threads than the one of the profiled block."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

import profiler

X = torch.ones(2, 8)
PRODUCT = 2 * 8 * 8


class Branches(nn.Module):
    """Runs *count* branches, each on a thread of its own if there is a pool."""

    def __init__(self, make, count: int, pool: ThreadPoolExecutor | None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(make() for _ in range(count))
        self.pool = [pool]

    def forward(self, x):
        run = self.pool[0].map if self.pool[0] else map
        return sum(run(lambda branch: branch(x), self.branches))


class Rerun(nn.Module):
    """A reentrant checkpoint of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, x):
        return checkpoint(lambda x: self.layer(x.relu()), x, use_reentrant=True)


def layer():
    return nn.Linear(8, 8, bias=False)


def deep():
    return nn.Sequential(*(nn.Sequential(layer(), nn.ReLU()) for _ in range(5)))


@pytest.fixture
def pool():
    with ThreadPoolExecutor(3) as executor:
        yield executor


def figures(p):
    """Return the work of a profile by phase, module and operator.

    The gradients of what branches share are added in the order in which the engine comes to the branches, which is not
    settled for branches that ran at once: those additions are summed over the modules.
    """
    sums = Counter()
    for entry in p.entries:
        record = entry.record
        is_shared = record.phase == "backward" and record.operator == "aten.add.Tensor"
        sums[record.phase, is_shared or record.module, record.operator] += record.calls * (1 + entry.totals.flops)
    return sums, {module.path: module.calls for module in p.modules}, p.is_complete


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("make", [layer, deep, Rerun])
@pytest.mark.parametrize("train", [False, True])
def test_branches_on_threads_count_as_branches_in_turn(pool, make, train):
    def run(model):
        with torch.set_grad_enabled(train), profiler.profile(model) as p:
            output = model(X.clone().requires_grad_(train))
            if train:
                output.sum().backward()
        return p

    expected = run(Branches(make, 3, None))
    assert expected.totals.macs > 0
    assert figures(run(Branches(make, 3, pool))) == figures(expected)


def test_many_calls_at_once_are_all_counted():
    model = nn.Sequential(layer(), nn.ReLU(), layer())
    with ThreadPoolExecutor(8) as pool, torch.no_grad(), profiler.profile(model) as p:
        list(pool.map(lambda _: model(X), range(400)))
    assert p.totals.macs == 400 * 2 * PRODUCT
    assert {module.path: module.calls for module in p.modules} == {"": 400, "0": 400, "1": 400, "2": 400}


def test_a_step_on_another_thread_is_forward_and_backward():
    model = nn.Sequential(layer(), layer())

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x):
            self.model(x).sum().backward()

    with profiler.profile(step := Step()) as p:
        thread = threading.Thread(target=step, args=(X,))
        thread.start()
        thread.join()
    assert {path: node.own.macs for path, node in p.nodes.items() if node.own.macs} == {
        "model.0": 2 * PRODUCT, "model.1": 3 * PRODUCT,
    }  # fmt: skip
    assert p.phases["backward"].macs == 3 * PRODUCT


def test_an_optimizer_on_another_thread_is_the_optimizer_phase(pool):
    model = layer()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with profiler.profile(model) as p:
        model(X).sum().backward()
        pool.submit(optimizer.step).result()
    assert p.phases["optimizer"].other_flops == 2 * 64


def test_replicas_count_for_the_module_that_they_copy(pool):
    class Parallel(nn.Module):
        """As ``torch.nn.DataParallel``, which only makes copies on GPUs."""

        def __init__(self) -> None:
            super().__init__()
            self.module = deep()

        def forward(self, x):
            replicas = [replicate(self.module) for _ in range(2)]
            return torch.cat(list(pool.map(lambda replica, x: replica(x), replicas, x.chunk(2))))

    with torch.no_grad(), profiler.profile(Parallel()) as p:
        p._session.model(X)
    assert {path: node.own.macs for path, node in p.nodes.items() if node.own.macs} == {
        f"module.{i}.0": PRODUCT for i in range(5)
    }


def replicate(module):
    replica = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        replica._modules[name] = replicate(child)
    for name, parameter in module._parameters.items():
        replica._parameters[name] = parameter
    return replica


def test_threads_are_left_as_they_were(pool):
    class Fails(nn.Module):
        def forward(self, x):
            return x @ torch.ones(3, 3)

    with profiler.profile(model := nn.Sequential(Fails())):
        futures = [pool.submit(model, X) for _ in range(3)]
        assert all(isinstance(future.exception(), RuntimeError) for future in futures)
    assert all(pool.submit(lambda: _get_current_dispatch_mode_stack() == []).result() for _ in range(9))


def test_a_call_that_outlives_the_block_counts_until_its_end_and_leaves_nothing():
    begun, ended = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def forward(self, x):
            x = x @ torch.ones(8, 8)
            begun.set()
            ended.wait(10)
            return x @ torch.ones(8, 8)

    model = nn.Sequential(Waits())
    hooks = nn.modules.module._global_forward_hooks
    with ThreadPoolExecutor(1) as pool, torch.no_grad():
        with profiler.profile(model) as p:
            future = pool.submit(model, X)
            begun.wait(10)
        ended.set()
        future.result()
        assert pool.submit(lambda: _get_current_dispatch_mode_stack() == []).result()
    assert p.totals.macs == PRODUCT
    assert not hooks


def test_a_call_on_a_thread_with_a_queue_of_its_own_outlives_the_block_and_leaves_no_hook():
    """The hook that tells of the end of calls is removed by the last call that ends; the first one leaves it."""
    begun, ends = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)]

    class Waits(nn.Module):
        def forward(self, i):
            begun[i].set()
            ends[i].wait(10)
            return X @ torch.ones(8, 8)

    model = nn.Sequential(Waits())
    model[0].register_forward_hook(lambda *_: None)  # so that the profile uses global hooks
    hooks = nn.modules.module._global_forward_hooks
    calls = [queue.SimpleQueue() for _ in ends]
    threads = [threading.Thread(target=lambda call=call: call.get()()) for call in calls]
    for thread in threads:
        thread.start()
    with profiler.profile(model) as p:
        for i, call in enumerate(calls):
            call.put(lambda i=i: model(i))
            begun[i].wait(10)
    left = []
    for end, thread in zip(ends, threads, strict=True):
        left.append(len(hooks))
        end.set()
        thread.join()
    assert left == [1, 1]
    assert not hooks
    assert p.totals.macs == 0


def test_two_profiles_on_two_threads_count_their_own_work(pool):
    model, both = layer(), threading.Barrier(2)

    def count(times: int) -> int:
        with torch.no_grad(), profiler.profile(model) as p:
            both.wait(10)
            for _ in range(times):
                model(X)
            both.wait(10)
        return p.totals.macs

    assert list(pool.map(count, (3, 5))) == [3 * PRODUCT, 5 * PRODUCT]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_fork_in_torchscript_is_counted_once():
    model = torch.jit.script(Forks())
    with torch.no_grad():
        p = profiler.count(model, X)
    assert p.totals.macs == 2 * PRODUCT
    assert p.nodes[""].own.macs == 2 * PRODUCT


def product(x: torch.Tensor) -> torch.Tensor:
    return x @ torch.ones(8, 8)


class Forks(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        future = torch.jit.fork(product, x)
        return product(x) + torch.jit.wait(future)
