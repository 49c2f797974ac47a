"""Run peers on the forward pass that we counted, and explain the difference of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from queue import SimpleQueue
from typing import TYPE_CHECKING

from profiler.peers import PickledModel, WorkerPool, find_peer, run_peers, select_peers
from profiler.reconcile.reconcile import reconcile
from profiler.trace.module_facts import collect_module_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from torch import nn

    from profiler.peers import PeerFailure, PeerResult
    from profiler.peers.runner import ModelFactory
    from profiler.tally import Profile
    from profiler.trace.module_facts import ModuleFacts
    from profiler.values.findings import Finding

    #: The name of a peer, and its answer.
    Answer = tuple[str, PeerResult | PeerFailure]

#: Each peer runs the model once, on all cores that torch uses; with more workers they only wait for each other.
MAX_WORKERS = 2


def count_with_facts(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], count: Callable[..., Profile]
) -> tuple[Profile, tuple[ModuleFacts, ...]]:
    """Count a forward pass and collect the facts about the modules that ``reconcile`` needs.

    Args:
        model: The model.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        count: Called as ``count(model, *args, **kwargs)``, such as ``profiler.count``. The model runs again without it,
            to record the operators as Python calls them.

    Returns:
        The profile that *count* returned, and the facts about each module, parents first.
    """
    profiles: list[Profile] = []
    facts = collect_module_facts(
        model, lambda: profiles.append(count(model, *args, **kwargs)), lambda: model(*args, **kwargs)
    )
    return profiles[0], facts


def compare_with_peers(
    names: Iterable[str],
    make: ModelFactory,
    profile: Profile,
    facts: tuple[ModuleFacts, ...],
    on_result: Callable[[str], object] = lambda _: None,
) -> tuple[Finding, ...]:
    """Run peers on a model and explain how their counts differ from ours.

    Args:
        names: The peers; "all" stands for those that are installed.
        make: Returns the model and its arguments; it is called in the worker process of each peer.
        profile: Our count of the same forward pass.
        facts: The facts about the modules in that forward pass; see ``count_with_facts``.
        on_result: Called with the name of each peer as soon as it has finished.

    Returns:
        The findings in the order of *names*; for each peer the total first, then the modules.

    Raises:
        UnknownNameError: There is no such peer.
        ModelError: The model cannot be pickled for the worker processes.
    """
    selected = select_peers(names)
    with _answers(selected, make) as answers:
        return _findings(selected, answers, profile, facts, on_result)


def count_and_compare(
    names: Iterable[str],
    make: ModelFactory,
    count: Callable[..., Profile],
    on_result: Callable[[str], object] = lambda _: None,
    pool: WorkerPool | None = None,
) -> tuple[Finding, ...]:
    """Count a forward pass while the peers run on it, and explain how their counts differ from ours.

    Arguments, result and errors are those of `compare_with_peers`; *count* is that of `count_with_facts`. The peers run
    in *pool*, or in a pool that is started for them.
    """
    selected = select_peers(names)
    with _answers(selected, make, pool) as answers:
        profile, facts = count_with_facts(*make(), count)
        return _findings(selected, answers, profile, facts, on_result)


@contextmanager
def _answers(selected: Sequence[str], make: ModelFactory, pool: WorkerPool | None = None) -> Iterator[Iterator[Answer]]:
    """Run peers while the block goes on, which may iterate over their answers; if it raises, the pool is killed."""
    answers: SimpleQueue[Answer | None] = SimpleQueue()

    def run(model: PickledModel, running: WorkerPool) -> None:
        try:
            jobs = [(name, model) for name in selected]
            for index, result in run_peers(jobs, pool=running, max_workers=MAX_WORKERS):
                answers.put((selected[index], result))
        finally:
            answers.put(None)

    with (
        PickledModel(make) as model,
        nullcontext(pool) if pool is not None and pool.is_running else WorkerPool() as running,
        ThreadPoolExecutor(1) as thread,
    ):
        peers = thread.submit(run, model, running)
        try:
            yield iter(answers.get, None)
            peers.result()
        except BaseException:
            running.kill()
            raise


def _findings(
    selected: Sequence[str],
    answers: Iterator[Answer],
    profile: Profile,
    facts: tuple[ModuleFacts, ...],
    on_result: Callable[[str], object],
) -> tuple[Finding, ...]:
    findings: dict[str, tuple[Finding, ...]] = {}
    for name, result in answers:
        findings[name] = reconcile(profile, facts, find_peer(name), result)
        on_result(name)
    return tuple(finding for name in selected for finding in findings.get(name, ()))
