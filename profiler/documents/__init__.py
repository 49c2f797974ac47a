"""Documents and their claims about models and devices: one TOML file per document.

find_document("tops").claims       # the claims of a document that comes with the package
find_document("mine.toml").claims  # the claims of a file of your own

`profiler.verify` checks them. To add a document, write a TOML file here; `profiler documents --template` shows how.
"""

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
