"""``profiler documents [--template]``: list the documents with claims, or print a template for another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import emit
from profiler.cli.subjects import CATALOGUES, OUTPUT, examples
from profiler.report.document_catalogue import DOCUMENT_FORMATS

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*DOCUMENT_FORMATS.names()]


@app.command(
    group=CATALOGUES,
    help_epilogue=examples(
        "profiler documents",
        "profiler documents --template",
    ),
)
def documents(
    *,
    template: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
) -> None:
    """List the documents whose claims `profiler verify` checks.

    Args:
        template: Print a commented example of a claims file instead, as a starting point for your own.
        format: Output format.
        output: File to write the result to, instead of printing it.
    """
    from profiler.documents import FOLDER
    from profiler.documents import documents as catalogue

    if template:
        emit((FOLDER / "template.toml").read_text(encoding="utf-8"), output)
        return
    emit(DOCUMENT_FORMATS.render(list(catalogue().values()), format), output)
