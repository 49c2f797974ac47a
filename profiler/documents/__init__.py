"""Documents and their claims about models and devices: one TOML file per document.

find_document("tops").claims       # the claims of a document that comes with the package
find_document("mine.toml").claims  # the claims of a file of your own

`profiler.verify` checks them. To add a document, write a TOML file here; `profiler documents --template` shows how.
"""

from typing import TYPE_CHECKING

from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.documents.document import (
        FOLDER,
        Document,
        DocumentClaim,
        MeasureSpec,
        PrintedFigure,
        StatedCause,
        documents,
        find_document,
    )
    from profiler.documents.results import WRONG, ClaimResult, FigureResult


__all__ = [
    "FOLDER",
    "WRONG",
    "ClaimResult",
    "Document",
    "DocumentClaim",
    "FigureResult",
    "MeasureSpec",
    "PrintedFigure",
    "StatedCause",
    "documents",
    "find_document",
]

#: The module that defines each name. The catalogue needs pydantic, and most profiles need no document.
_DEFINED_IN = {
    "ClaimResult": "profiler.documents.results",
    "Document": "profiler.documents.document",
    "DocumentClaim": "profiler.documents.document",
    "FOLDER": "profiler.documents.document",
    "FigureResult": "profiler.documents.results",
    "MeasureSpec": "profiler.documents.document",
    "PrintedFigure": "profiler.documents.document",
    "StatedCause": "profiler.documents.document",
    "WRONG": "profiler.documents.results",
    "documents": "profiler.documents.document",
    "find_document": "profiler.documents.document",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _DEFINED_IN)
