"""Check the claims of several documents in parallel processes."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from itertools import groupby
from typing import TYPE_CHECKING

from profiler.peers import WorkerPool
from profiler.util.permissions import with_permissions
from profiler.util.processes import context_with_imports, exit_with_parent
from profiler.verify.measurement_cache import MeasurementCache
from profiler.verify.measurements import KnownMeasurements, Measurements, NotMeasuredError
from profiler.verify.peer_queries import query_peers
from profiler.verify.verify import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import Any

    from profiler.documents import ClaimResult, Document, DocumentClaim
    from profiler.verify.peer_queries import PeerAnswers

    #: Some claims of one document.
    Batch = tuple[Document, tuple[DocumentClaim, ...]]
    OnResult = Callable[[ClaimResult], object]

#: Few, because each process imports torch. Each runs its models on one thread.
_PROCESSES = 2
#: Claims that a process checks at a time. Neighbours are mostly about the same models, which then run once.
_BATCH_SIZE = 5
#: Imported once, before the processes fork, because they take seconds.
_PRELOADED = ["profiler.verify.measurements", "torchvision", "transformers.modeling_utils"]


def verify_all(
    selection: Sequence[Batch], on_result: OnResult = lambda _: None, *, use_cache: bool = False
) -> list[ClaimResult]:
    """Check claims of several documents; a few in this process, more in parallel processes.

    Worker processes import the calling script again, as with `multiprocessing`: call this under
    ``if __name__ == "__main__"``. To check claims in this process, use `verify`.

    Args:
        selection: The documents, each with the claims to check.
        on_result: Called with each result as soon as it is there, in any order.
        use_cache: Read values that were measured before from the user's cache folder, and add those of this run. They
            are of the installed source: do not use it after changing a formula in this process.

    Returns:
        The results in the order of *selection*.

    Raises:
        ClaimError: A claim is not valid.
    """
    cache = MeasurementCache(on_disk=use_cache)
    known = _check_known(selection, cache, on_result) if use_cache else {}
    places = [(i, claim) for i, (_, claims) in enumerate(selection) for claim in claims]
    open_places = [(i, claim) for i, claim in places if (i, claim.id) not in known]
    batches = list(_batches(selection, open_places))
    if len(batches) > 1:
        results = _check_in_processes(batches, on_result, use_cache=use_cache)
    else:
        results = [result for batch in batches for result in _check_here(batch, cache, on_result)]
    every = known | {(i, claim.id): result for (i, claim), result in zip(open_places, results, strict=True)}
    return [every[i, claim.id] for i, claim in places]


def _batches(selection: Sequence[Batch], places: Sequence[tuple[int, DocumentClaim]]) -> Iterator[Batch]:
    """Yield the claims at *places* in batches of one document each."""
    for index, group in groupby(places, key=lambda place: place[0]):
        claims = tuple(claim for _, claim in group)
        for i in range(0, len(claims), _BATCH_SIZE):
            yield selection[index][0], claims[i : i + _BATCH_SIZE]


def _check_known(
    selection: Sequence[Batch], cache: MeasurementCache, on_result: OnResult
) -> dict[tuple[int, str], ClaimResult]:
    """Check the claims whose values were all measured before; return their results by document and claim."""
    results: dict[tuple[int, str], ClaimResult] = {}
    measurements = KnownMeasurements(cache)
    for i, (document, claims) in enumerate(selection):
        for claim in claims:
            with suppress(NotMeasuredError):
                results[i, claim.id] = check(document, claim, measurements)
                on_result(results[i, claim.id])
    return results


def _check_here(batch: Batch, cache: MeasurementCache, on_result: OnResult) -> list[ClaimResult]:
    """Check a batch in this process."""
    measurements = Measurements(cache)
    measurements.add_peer_answers(query_peers(batch[1]))
    return _check_batch(batch, measurements, on_result)


def _check_in_processes(batches: list[Batch], on_result: OnResult, *, use_cache: bool) -> list[ClaimResult]:
    """Check batches in several processes; those that quote peers start when the peers have answered."""
    results: dict[int, list[ClaimResult]] = {}
    with_peers = [i for i, (_, claims) in enumerate(batches) if any(map(_quotes_peer, claims))]
    with (
        WorkerPool() if with_peers else nullcontext() as peers,
        ThreadPoolExecutor(1) as peer_thread,
        ProcessPoolExecutor(_PROCESSES, context_with_imports(_PRELOADED), _start_worker, (use_cache,)) as pool,
    ):
        work, ask = with_permissions(_work), with_permissions(query_peers)
        answers = peer_thread.submit(ask, [claim for i in with_peers for claim in batches[i][1]], peers)
        indices = {pool.submit(work, batches[i], {}): i for i in range(len(batches)) if i not in with_peers}
        pending: set[Future[Any]] = {answers, *indices}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                if answers in done:
                    submitted = {pool.submit(work, batches[i], answers.result()): i for i in with_peers}
                    indices |= submitted
                    pending |= submitted.keys()
                for future in done - {answers}:
                    results[indices[future]] = future.result()
                    for result in future.result():
                        on_result(result)
        except BaseException:
            processes = list((pool._processes or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            if peers is not None:
                peers.kill()
            raise
    return [result for i in range(len(batches)) for result in results[i]]


def _check_batch(batch: Batch, measurements: Measurements, on_result: OnResult) -> list[ClaimResult]:
    document, claims = batch
    results: list[ClaimResult] = []
    for claim in claims:
        results.append(check(document, claim, measurements))
        on_result(results[-1])
    measurements.save()
    return results


def _quotes_peer(claim: DocumentClaim) -> bool:
    return any(m.peer is not None for figure in claim.figures for m in figure.measures.values())


#: In a worker process: its one cache of measurements.
_worker_measurements: list[Measurements] = []


def _start_worker(use_cache: bool) -> None:
    import torch  # noqa: PLC0415 - only worker processes need it here

    exit_with_parent()
    torch.set_num_threads(1)
    _worker_measurements.append(Measurements(MeasurementCache(on_disk=use_cache)))


def _work(batch: Batch, answers: PeerAnswers) -> list[ClaimResult]:
    _worker_measurements[0].add_peer_answers(answers)
    return _check_batch(batch, _worker_measurements[0], lambda _: None)
