"""How a profile is shown, saved and handed on: as text, in a notebook, as a dictionary, as tables of other tools."""

from __future__ import annotations

import html
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from profiler import units
from profiler.errors import InputError
from profiler.escaping import plain, shorten
from profiler.tally.figures import FIGURES, WORK
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from profiler.tally.profile import Profile

_LONGEST = 120
#: The longest report in a notebook, in characters.
_LONGEST_REPORT = 40_000


class Presentation(ABC):
    """What shows ``result``, a profile: the profile itself, or what holds one."""

    __slots__ = ()

    @property
    @abstractmethod
    def result(self) -> Profile:
        """The profile to show."""

    def save(self, path: str | Path) -> None:
        """Write the profile to a JSON file (schema ``profiler/1``), whole or not at all; ``profiler.load`` reads it.

        Raises:
            OutputError: The file cannot be written.
        """
        from profiler.tally.saved import save  # noqa: PLC0415 - saved.py is built on this file

        save(self.result, path)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``save`` writes: plain values, in the schema ``profiler/1``.

        Example:
            >>> import profiler, torch
            >>> p = profiler.count(torch.nn.Linear(4, 4, device="meta"), torch.empty(1, 4, device="meta"))
            >>> p.to_dict()["totals"]["macs"]
            16
        """
        from profiler.tally.saved import to_json  # noqa: PLC0415 - saved.py is built on this file

        document: dict[str, Any] = json.loads(to_json(self.result))
        return document

    def to_markdown(self, depth: int = 2) -> str:
        """Return the report as Markdown, with *depth* levels of modules below the root."""
        from profiler.report import render  # noqa: PLC0415 - as in __str__

        return render(self.result, "markdown", depth=depth)

    def to_latex(self, depth: int = 2) -> str:
        """Return the modules as a LaTeX table, with *depth* levels below the root; it needs the package booktabs."""
        from profiler.report import render  # noqa: PLC0415 - as in __str__

        return render(self.result, "latex", depth=depth)

    def to_html(self, title: str = "") -> str:
        """Return the report as a page for a browser, in one file: pictures, and the table of the modules.

        Example:
            >>> import profiler, torch
            >>> p = profiler.count(torch.nn.Linear(4, 4, device="meta"), torch.empty(1, 4, device="meta"))
            >>> p.to_html(title="layer").splitlines()[7]
            '<title>layer · profiler</title>'
        """
        from profiler.report import render  # noqa: PLC0415 - as in __str__

        return render(self.result, "html", title=title)

    def write_html(self, path: str | Path, title: str = "") -> None:
        """Write what `to_html` returns to a file, whole or not at all.

        Raises:
            OutputError: The file cannot be written.
        """
        write_whole(Path(path), self.to_html(title))

    def to_pandas(self, level: Literal["modules", "operators", "entries"] = "modules") -> Any:
        """Return a table for pandas, which has to be installed.

        Args:
            level: ``modules`` has a row a module, by path, with its own work (``self_``) and that of its children too
                (``total_``); ``operators`` a row an operator and dtype; ``entries`` a row a distinct call, with the
                module and the phase, and the work of all its calls.

        Raises:
            InputError: There is no such level.
            ImportError: pandas is not installed.
        """
        if level not in _TABLES:
            msg = f"there is no table of {level!r}; write {', '.join(_TABLES)}"
            raise InputError(msg)
        import pandas as pd  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - not a dependency

        return pd.DataFrame(_TABLES[level](self.result))

    def __rich__(self) -> RenderableType:
        """Return the report for a console of rich, in its width and its colours."""
        from profiler.report import RichReport  # noqa: PLC0415 - as in __str__

        return RichReport(self.result)

    def _repr_html_(self) -> str:
        """Return the report for a notebook: totals and the tree of modules, escaped, without scripts."""
        from profiler.report import render  # noqa: PLC0415 - as in __str__

        text = render(self.result, "text")
        shown = text if len(text) <= _LONGEST_REPORT else f"{text[:_LONGEST_REPORT]}\n…"
        return f'<pre style="line-height:1.3;overflow-x:auto">{html.escape(shown)}</pre>'

    def __str__(self) -> str:
        """Return the text report, with the tree of modules down to two levels below the root."""
        from profiler.report import render  # noqa: PLC0415 - a report is built on a profile; only this asks for one

        return render(self.result, "text")

    def __repr__(self) -> str:
        """Return the model, its input and the totals in one line."""
        return f"<Profile of {summary(self.result)}>"


def _module_rows(profile: Profile) -> list[dict[str, Any]]:
    return [
        {"path": path, "type": node.module.type, "calls": node.module.calls}
        | {f"self_{name}": getattr(node.own, name) for name in FIGURES}
        | {f"total_{name}": getattr(node.total, name) for name in FIGURES}
        for path, node in profile.nodes.items()
    ]


def _operator_rows(profile: Profile) -> list[dict[str, Any]]:
    return [
        {"operator": row.operator, "dtype": row.dtype, "calls": row.calls}
        | {name: getattr(row.totals, name) for name in WORK}
        for row in profile.operators
    ]


def _entry_rows(profile: Profile) -> list[dict[str, Any]]:
    return [
        {
            "module": entry.record.module,
            "phase": entry.record.phase,
            "operator": entry.record.operator,
            "dtype": entry.dtype,
            "calls": entry.record.calls,
        }
        | {name: getattr(entry.totals, name) for name in WORK}
        for entry in profile.entries
    ]


_TABLES = {"modules": _module_rows, "operators": _operator_rows, "entries": _entry_rows}


def summary(profile: Profile) -> str:
    """Return a profile in one line: the model, its inputs, its device, and the totals."""
    from profiler.report import Report  # noqa: PLC0415 - as above

    report = Report(profile, profile.model, 0)
    totals = profile.totals
    figures = [
        report.at_least + units.count(totals.macs, "MAC"),
        report.at_least + units.count(totals.flops, "FLOP"),
        units.count(totals.params, "parameter"),
    ]
    return f"{shorten(plain(report.heading), _LONGEST)}: {', '.join(figures)}"
