"""Check the claims of several documents in parallel processes."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from threading import Event
from typing import TYPE_CHECKING

from profiler.util.permissions import with_permissions
from profiler.util.processes import context_with_imports, exit_with_parent
from profiler.verify.measurements import Measurements
from profiler.verify.peer_queries import query_peers
from profiler.verify.verify import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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


def verify_all(selection: Sequence[Batch], on_result: OnResult = lambda _: None) -> list[ClaimResult]:
    """Check claims of several documents; a few in this process, more in parallel processes.

    Worker processes import the calling script again, as with `multiprocessing`: call this under
    ``if __name__ == "__main__"``. To check claims in this process, use `verify`.

    Args:
        selection: The documents, each with the claims to check.
        on_result: Called with each result as soon as it is there, in any order.

    Returns:
        The results in the order of *selection*.

    Raises:
        ClaimError: A claim is not valid.
    """
    batches = [
        (document, claims[i : i + _BATCH_SIZE])
        for document, claims in selection
        for i in range(0, len(claims), _BATCH_SIZE)
    ]
    if len(batches) == 1:
        measurements = Measurements()
        measurements.add_peer_answers(query_peers(batches[0][1]))
        return _check_batch(batches[0], measurements, on_result)
    return _check_in_processes(batches, on_result)


def _check_in_processes(batches: list[Batch], on_result: OnResult) -> list[ClaimResult]:
    """Check batches in several processes; those that quote peers start when the peers have answered."""
    results: dict[int, list[ClaimResult]] = {}
    stop = Event()
    with (
        ThreadPoolExecutor(1) as peer_thread,
        ProcessPoolExecutor(_PROCESSES, context_with_imports(_PRELOADED), _start_worker) as pool,
    ):
        with_peers = [i for i, (_, claims) in enumerate(batches) if any(map(_quotes_peer, claims))]
        work, ask = with_permissions(_work), with_permissions(query_peers)
        answers = peer_thread.submit(ask, [claim for i in with_peers for claim in batches[i][1]], stop)
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
            raise
        finally:
            stop.set()
    return [result for i in range(len(batches)) for result in results[i]]


def _check_batch(batch: Batch, measurements: Measurements, on_result: OnResult) -> list[ClaimResult]:
    document, claims = batch
    results: list[ClaimResult] = []
    for claim in claims:
        results.append(check(document, claim, measurements))
        on_result(results[-1])
    return results


def _quotes_peer(claim: DocumentClaim) -> bool:
    return any(m.peer is not None for figure in claim.figures for m in figure.measures.values())


#: In a worker process: its one cache of measurements.
_worker_measurements: list[Measurements] = []


def _start_worker() -> None:
    import torch  # noqa: PLC0415 - only worker processes need it here

    exit_with_parent()
    torch.set_num_threads(1)
    _worker_measurements.append(Measurements())


def _work(batch: Batch, answers: PeerAnswers) -> list[ClaimResult]:
    _worker_measurements[0].add_peer_answers(answers)
    return _check_batch(batch, _worker_measurements[0], lambda _: None)
