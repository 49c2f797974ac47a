"""Check several documents at once, each in a process of its own."""

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

#: Every process imports torch and runs its models on one thread.
_AT_ONCE = 2


def verify_all(wanted: Sequence[Wanted], tell: Callable[[Verified], object] = lambda _: None) -> list[Verified]:
    """Check the claims of documents; one document here, several each in its own process.

    Args:
        wanted: The documents, with those of their claims that are wanted.
        tell: Is given each claim as soon as it stands.

    Raises:
        ClaimError: A claim cannot be checked as it is written.
        ModelError: A model failed.
    """
    if len(wanted) == 1:
        return _checked(*wanted[0], tell)
    found: dict[int, list[Verified]] = {}
    most_first = sorted(range(len(wanted)), key=lambda i: -len(wanted[i][1]))
    with ProcessPoolExecutor(_AT_ONCE, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_alone, *wanted[i]): i for i in most_first}
        try:
            for done in as_completed(running):
                found[running[done]] = done.result()
                for verified in found[running[done]]:
                    tell(verified)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [verified for i in range(len(wanted)) for verified in found[i]]


def _checked(
    document: Document, claims: tuple[DocumentClaim, ...], tell: Callable[[Verified], object]
) -> list[Verified]:
    found = []
    with Bench() as bench:
        bench.ask_ahead(figure for claim in claims for figure in claim.figures)
        for claim in claims:
            found.append(check(document, claim, bench))
            tell(found[-1])
    return found


def _alone(document: Document, claims: tuple[DocumentClaim, ...]) -> list[Verified]:
    """Check in a process that has others beside it."""
    import torch  # noqa: PLC0415 - the parent may never need it

    torch.set_num_threads(1)
    return _checked(document, claims, lambda _: None)
