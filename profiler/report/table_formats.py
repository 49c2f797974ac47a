"""A table in CSV, Markdown and LaTeX: the formats of every result that is a table."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from profiler.escaping import csv_cell, latex
from profiler.escaping import markdown as markdown_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.report.tables import Side


def csv_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Return a line a row, with every digit; None is an empty cell.

    Example:
        >>> csv_table(["device", "W"], [("l4", 72), ("=x", None)])
        "device,W\nl4,72\n'=x,\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows([csv_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def markdown_table(columns: Mapping[str, Side], rows: Iterable[Iterable[str]]) -> str:
    r"""Return a table of Markdown; what a cell holds is shown as it is.

    Example:
        >>> print(markdown_table({"module": "left", "MACs": "right"}, [("a|b", "1")]))
        | module | MACs |
        | --- | ---: |
        | a\|b | 1 |
    """
    marks = ["---:" if side == "right" else "---" for side in columns.values()]
    lines = [map(markdown_text, columns), marks, *(map(markdown_text, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def latex_table(columns: Mapping[str, Side], rows: Iterable[Iterable[str]]) -> str:
    r"""Return a ``tabular`` with the rules of the package booktabs.

    Example:
        >>> print(latex_table({"module": "left", "MACs": "right"}, [("fc_1", "1")]))
        \begin{tabular}{lr}
        \toprule
        module & MACs \\
        \midrule
        fc\_1 & 1 \\
        \bottomrule
        \end{tabular}
    """
    sides = "".join("r" if side == "right" else "l" for side in columns.values())
    head, *body = (" & ".join(map(latex, line)) + r" \\" for line in [columns, *rows])
    rules = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(rules)


def page(*parts: str) -> str:
    """Join the paragraphs and tables of a page of Markdown; empty ones are left out.

    Example:
        >>> print(page("resnet18", "", "done"), end="")
        resnet18
        <BLANKLINE>
        done
    """
    return "\n\n".join(filter(None, parts)) + "\n"
