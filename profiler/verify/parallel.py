"""Check several documents at once, in several processes."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from profiler.util.processes import context_with_imports
from profiler.verify.measurements import Measurements
from profiler.verify.peer_queries import query_peers
from profiler.verify.verify import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from typing import Any

    from profiler.documents import ClaimResult, Document, DocumentClaim
    from profiler.verify.peer_queries import Answers

    Wanted = tuple[Document, tuple[DocumentClaim, ...]]

#: Every process imports torch, and runs its models on one thread.
_AT_ONCE = 2
#: Claims that one process checks before it is given others: neighbours are, as a rule, about the same models.
_TOGETHER = 5
#: What takes seconds to import is imported once for all processes.
_IMPORTED = ["profiler.verify.measurements", "torchvision", "transformers.modeling_utils"]


def verify_all(wanted: Sequence[Wanted], tell: Callable[[ClaimResult], object] = lambda _: None) -> list[ClaimResult]:
    """Check the claims of documents; few of them here, many in several processes.

    Those import the script that asks once more: it calls this under ``if __name__ == "__main__"``, as `multiprocessing`
    has it. `verify` checks one after another, here.

    Args:
        wanted: The documents, with those of their claims that are wanted.
        tell: Is given each claim as soon as it stands.

    Raises:
        ClaimError: A claim cannot be checked as it is written.
    """
    parts = [(d, claims[i : i + _TOGETHER]) for d, claims in wanted for i in range(0, len(claims), _TOGETHER)]
    if len(parts) == 1:
        ((document, claims),) = parts
        bench = Measurements()
        bench.add_peer_answers(query_peers(claims))
        return _checked(document, claims, bench, tell)
    return _in_processes(parts, tell)


def _in_processes(parts: list[Wanted], tell: Callable[[ClaimResult], object]) -> list[ClaimResult]:
    """Check parts in several processes; those that are about peers when these have answered."""
    found: dict[int, list[ClaimResult]] = {}
    with (
        ThreadPoolExecutor(1) as apart,
        ProcessPoolExecutor(_AT_ONCE, context_with_imports(_IMPORTED), _prepare) as pool,
    ):
        asking = [i for i, (_, claims) in enumerate(parts) if any(map(_asks, claims))]
        answers = apart.submit(query_peers, [claim for i in asking for claim in parts[i][1]])
        numbers = {pool.submit(_part, *parts[i], {}): i for i in range(len(parts)) if i not in asking}
        waiting: set[Future[Any]] = {answers, *numbers}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                if answers in done:
                    anew = {pool.submit(_part, *parts[i], answers.result()): i for i in asking}
                    numbers |= anew
                    waiting |= anew.keys()
                for future in done - {answers}:
                    found[numbers[future]] = future.result()
                    for verified in future.result():
                        tell(verified)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [verified for i in range(len(parts)) for verified in found[i]]


def _checked(
    document: Document, claims: tuple[DocumentClaim, ...], bench: Measurements, tell: Callable[[ClaimResult], object]
) -> list[ClaimResult]:
    found: list[ClaimResult] = []
    for claim in claims:
        found.append(check(document, claim, bench))
        tell(found[-1])
    return found


def _asks(claim: DocumentClaim) -> bool:
    """Say whether a claim is about what a peer says."""
    return any(m.peer is not None for figure in claim.figures for m in figure.measures.values())


_benches: list[Measurements] = []


def _prepare() -> None:
    """Begin a process that has others beside it."""
    import torch  # noqa: PLC0415 - for here alone

    torch.set_num_threads(1)
    _benches.append(Measurements())


def _part(document: Document, claims: tuple[DocumentClaim, ...], answers: Answers) -> list[ClaimResult]:
    _benches[0].add_peer_answers(answers)
    return _checked(document, claims, _benches[0], lambda _: None)
