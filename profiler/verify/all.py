"""Check several documents at once, in several processes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

from profiler.verify.bench import Bench
from profiler.verify.verify import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profiler.documents import Document, DocumentClaim, Verified

    Wanted = tuple[Document, tuple[DocumentClaim, ...]]

#: Every process imports torch, and runs its models on one thread.
_AT_ONCE = 2
#: Claims that one process checks before it is given others: neighbours are, as a rule, about the same models.
_TOGETHER = 5
#: What takes seconds to import is imported once for all processes. What is not installed is passed over.
_IMPORTED = ["profiler.verify.bench", "torchvision", "transformers.modeling_utils"]


def verify_all(wanted: Sequence[Wanted], tell: Callable[[Verified], object] = lambda _: None) -> list[Verified]:
    """Check the claims of documents; few of them here, many in several processes.

    Args:
        wanted: The documents, with those of their claims that are wanted.
        tell: Is given each claim as soon as it stands.

    Raises:
        ClaimError: A claim cannot be checked as it is written.
    """
    parts = [(d, claims[i : i + _TOGETHER]) for d, claims in wanted for i in range(0, len(claims), _TOGETHER)]
    if len(parts) == 1:
        return _checked(*parts[0], Bench(), tell)
    found: dict[int, list[Verified]] = {}
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with ProcessPoolExecutor(_AT_ONCE, context, _prepare) as pool:
        peers_first = sorted(range(len(parts)), key=lambda i: -_peers(parts[i][1]))
        running = {pool.submit(_part, *parts[i]): i for i in peers_first}
        try:
            for done in as_completed(running):
                found[running[done]] = done.result()
                for verified in found[running[done]]:
                    tell(verified)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [verified for i in range(len(parts)) for verified in found[i]]


def _checked(
    document: Document, claims: tuple[DocumentClaim, ...], bench: Bench, tell: Callable[[Verified], object]
) -> list[Verified]:
    found: dict[str, Verified] = {}
    with bench.asking(figure for claim in claims for figure in claim.figures):
        for claim in sorted(claims, key=lambda claim: _peers((claim,))):  # peers answer in the meantime
            found[claim.id] = check(document, claim, bench)
            tell(found[claim.id])
    return [found[claim.id] for claim in claims]


def _peers(claims: tuple[DocumentClaim, ...]) -> int:
    """Count how often claims ask a peer, which takes longer than a model on ``meta``."""
    return sum(m.peer is not None for c in claims for f in c.figures for m in f.measures.values())


_benches: list[Bench] = []


def _prepare() -> None:
    """Begin a process that has others beside it."""
    import torch  # noqa: PLC0415 - for here alone

    torch.set_num_threads(1)
    _benches.append(Bench())


def _part(document: Document, claims: tuple[DocumentClaim, ...]) -> list[Verified]:
    return _checked(document, claims, _benches[0], lambda _: None)
