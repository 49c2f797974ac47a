"""The catalogue of documents as text, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profiler.documents import Document
    from profiler.report.tables import Side

DOCUMENT_FORMATS: Formats[Sequence[Document]] = Formats()
_COLUMNS: Mapping[str, Side] = {"document": "left", "claims": "right", "language": "left", "title": "left"}


@DOCUMENT_FORMATS.register("text")
def to_text(documents: Sequence[Document]) -> str:
    """Write a row a document."""
    return table(_COLUMNS, _rows(documents)) + "\n"


@DOCUMENT_FORMATS.register("markdown")
def to_markdown(documents: Sequence[Document]) -> str:
    """Write the same as Markdown."""
    return page(markdown_table(_COLUMNS, _rows(documents)))


@DOCUMENT_FORMATS.register("csv")
def to_csv(documents: Sequence[Document]) -> str:
    """Write a line a document."""
    return csv_table(_COLUMNS, _rows(documents))


@DOCUMENT_FORMATS.register("json")
def to_json(documents: Sequence[Document]) -> str:
    """Write every document with the names of its claims."""
    rows = [
        {"id": d.id, "title": d.title, "language": d.language, "claims": [claim.id for claim in d.claims]}
        for d in documents
    ]
    return json.dumps({"documents": rows}, indent=1, ensure_ascii=False) + "\n"


def _rows(documents: Sequence[Document]) -> list[tuple[str, ...]]:
    return [(d.id, str(len(d.claims)), d.language, d.title) for d in documents]
