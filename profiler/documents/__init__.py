"""What documents claim of models and devices: a TOML file each, and how their claims stand.

find_document("tops").claims       those of a document that comes with the package
find_document("mine.toml").claims  those of a file
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
