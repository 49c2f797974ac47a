"""The results of ``profiler check`` as workflow commands, which GitHub shows beside the file of budgets.

Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions, "Setting an error message"; the
escapes are those of ``escapeData`` and ``escapeProperty`` in the package @actions/core, ``command.ts``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.guard import Outcome
from profiler.report.checks import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.report.checks import Outcomes


def github_annotations(outcomes: Outcomes, source: str, lines: Mapping[str, int]) -> list[str]:
    """Return a command for each broken limit, at the line of its budget in the file *source*."""
    commands = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, Outcome):
            broken = (check for check in outcome.checks if not check.passed)
            messages = [(f"{name}: {check.limit.metric.label}", explain(check)) for check in broken]
        else:
            messages = [(name, str(outcome))]
        commands += [_command(source, lines[name], title, message) for title, message in messages]
    return commands


def _command(source: str, line: int, title: str, message: str) -> str:
    return f"::error file={_property(source)},line={line},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
