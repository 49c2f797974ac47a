"""The claims of documents about one model.

A profile lists them: those that it settles itself with their verdict, and the others by name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents.document import documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.documents.document import Document, DocumentClaim, MeasureSpec, PrintedFigure


def claims_about(target: str) -> Iterator[tuple[Document, DocumentClaim]]:
    """Yield the claims that measure *target*, each with only those of its figures that do.

    Args:
        target: A model, as on the command line.

    Example:
        >>> [claim.id for _, claim in claims_about("vgg16")]
        ['gpu-memory', 'gpu-pick']
    """
    return _claims_with(lambda figure: any(measure.target == target for measure in figure.measures.values()))


def claims_settled_by_profile(target: str) -> Iterator[tuple[Document, DocumentClaim]]:
    """Yield the claims about *target* that one forward pass with its default input is enough to check.

    Args:
        target: A model, as on the command line.
    """
    return _claims_with(
        lambda figure: (
            bool(figure.measures) and all(_is_in_profile(measure, target) for measure in figure.measures.values())
        )
    )


def _claims_with(is_wanted: Callable[[PrintedFigure], bool]) -> Iterator[tuple[Document, DocumentClaim]]:
    for document in documents().values():
        for claim in document.claims:
            figures = tuple(figure for figure in claim.figures if is_wanted(figure))
            if figures:
                yield document, replace(claim, figures=figures)


def _is_in_profile(measure: MeasureSpec, target: str) -> bool:
    """Return whether a measure sets nothing but what to count and where, so that the default forward pass has it."""
    return measure == replace(
        type(measure)(target), count=measure.count, modules=measure.modules, operators=measure.operators
    )
