"""What documents claim of models and devices: a TOML file each, and how their claims stand.

find_document("tops").claims       those of a document that comes with the package
find_document("mine.toml").claims  those of a file
"""

from profiler.documents.document import (
    FOLDER,
    Document,
    DocumentClaim,
    Figure,
    Measure,
    Reason,
    documents,
    find_document,
)
from profiler.documents.standing import WRONG, Standing, Verified

__all__ = [
    "FOLDER",
    "WRONG",
    "Document",
    "DocumentClaim",
    "Figure",
    "Measure",
    "Reason",
    "Standing",
    "Verified",
    "documents",
    "find_document",
]
