"""What the documents that come with the package say of one model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents.document import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.documents.document import Document, DocumentClaim, MeasureSpec


def about(target: str) -> Iterator[tuple[Document, DocumentClaim]]:
    """Yield the claims about a target, each with the figures alone that are about it."""
    for document in documents().values():
        for claim in document.claims:
            figures = tuple(f for f in claim.figures if any(m.target == target for m in f.measures.values()))
            if figures:
                yield document, replace(claim, figures=figures)


def is_plain(measure: MeasureSpec, target: str) -> bool:
    """Say whether a measure can be read off one forward pass of a target with its default input."""
    return measure == replace(
        type(measure)(target), count=measure.count, modules=measure.modules, operators=measure.operators
    )
