"""``profiler documents [--template]``: list the documents with claims, or print a template for another one."""

from __future__ import annotations

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, examples
from profiler.report.tables import table


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler documents",
        "profiler documents --template",
    ),
)
def documents(*, template: bool = False) -> None:
    """List the documents whose claims `profiler verify` checks.

    Args:
        template: Print a commented example of a claims file instead, as a starting point for your own.
    """
    from profiler.documents import FOLDER
    from profiler.documents import documents as catalogue

    if template:
        emit((FOLDER / "template.toml").read_text(encoding="utf-8"), None)
        return
    rows = [(d.id, str(len(d.claims)), d.language, d.title) for d in catalogue().values()]
    emit(table({"document": "left", "claims": "right", "language": "left", "title": "left"}, rows) + "\n", None)
