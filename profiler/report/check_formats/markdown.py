"""The results of ``profiler check`` as Markdown: a page, or a comment on a pull request of GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.escaping import markdown as markdown_text
from profiler.guard import Outcome
from profiler.report.checks import CHECK_FORMATS, COLUMNS, CheckReport, explain, limit_cells
from profiler.report.report import Report
from profiler.report.table_formats import markdown_table, page

if TYPE_CHECKING:
    from profiler.errors import ProfilerError

#: GitHub refuses a comment of more than 65,536 characters.
#: Source: https://github.com/orgs/community/discussions/41331
_LONGEST = 65_000


@CHECK_FORMATS.register("markdown")
def to_markdown(report: CheckReport) -> str:
    """Write every budget with its limits, and below it why limits are broken."""
    return page(_verdict(report), *(part for item in report.outcomes.items() for part in _budget(*item)))


@CHECK_FORMATS.register("github-markdown")
def to_github_markdown(report: CheckReport) -> str:
    """Write a comment: the verdict, what is broken, and the budgets that hold folded away.

    A comment that GitHub would refuse for its length has the verdict and what is broken alone.
    """
    broken = [part for name, o in report.outcomes.items() if not _holds(o) for part in _budget(name, o)]
    held = [part for name, o in report.outcomes.items() if _holds(o) for part in _budget(name, o)]
    mark = "✅" if report.passed else "❌"
    head = [f"### {mark} Model costs", _verdict(report), *broken]
    number = sum(map(_holds, report.outcomes.values()))
    summary = f"<details><summary>{number} {'budget holds' if number == 1 else 'budgets hold'}</summary>"
    text = page(*head, *([summary, *held, "</details>"] if held else []))
    return text if len(text) <= _LONGEST else _cut(page(*head))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rpartition(chr(10))[0]}\n\n…\n"


def _holds(outcome: Outcome | ProfilerError) -> bool:
    return isinstance(outcome, Outcome) and outcome.passed


def _verdict(report: CheckReport) -> str:
    return f"**{markdown_text(report.verdict)}**"


def _budget(name: str, outcome: Outcome | ProfilerError) -> list[str]:
    if not isinstance(outcome, Outcome):
        return [f"#### {markdown_text(name)}", f"not checked: {markdown_text(str(outcome))}"]
    heading = Report(outcome.profile, outcome.name, 0).heading_with_mode
    reasons = [f"- {markdown_text(explain(check))}" for check in outcome.checks if not check.passed]
    table = markdown_table(COLUMNS, [limit_cells(outcome, check) for check in outcome.checks])
    return [f"#### {markdown_text(heading)}", table, "\n".join(reasons)]
