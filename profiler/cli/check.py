"""``profiler check budgets.toml``: fail if a model costs more than its budget."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.output import counting, emit, note
from profiler.cli.subjects import GUARD, OUTPUT, examples
from profiler.cli.training_options import TrainingOptions
from profiler.errors import CheckFailedError, ProfilerError
from profiler.report.checks import CHECK_FORMATS, CheckReport
from profiler.report.github import github_annotations
from profiler.report.profile_differences import acceptance_text
from profiler.util.quick_imports import import_quickly

if TYPE_CHECKING:
    from profiler.guard import Baseline, Baselines, Budget, Budgets, Outcome
    from profiler.report.checks import Outcomes
    from profiler.run.count_requests import CountRequest
    from profiler.tally import Profile

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[*CHECK_FORMATS.names()]
T = TypeVar("T")


@app.command(
    group=GUARD,
    help_epilogue=examples(
        "profiler check budgets.toml",
        "profiler check budgets.toml --format github-markdown --output comment.md",
    ),
)
def check(
    budgets: Path,
    /,
    *,
    update: bool = False,
    format: Annotated[Format, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
) -> None:
    """Check models against their budgets.

    The exit status is 1 if a limit is broken.

    Args:
        budgets: A TOML file with a [[budget]] table for each model: its `target`, and limits by name such as
            `macs = 1814073344`, or `params = "+0 %"` against the baseline.
        update: Accept the counts as the new baselines, and show what changed. Fixed limits still apply.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr except errors and annotations.
    """
    from profiler.guard import Baselines, load_budgets

    table = load_budgets(budgets)
    baselines = Baselines(table.baselines)
    outcomes, counted = _check(table, baselines, update=update, quiet=quiet)
    report = CheckReport(outcomes, str(table.path))
    emit(CHECK_FORMATS.render(report, format), output)
    _annotate(outcomes, table)
    _raise_worst(report, update=update)
    if update:
        accepted = _accept(baselines, counted)
        if format == "text" and output is None:
            emit(accepted, None)
        else:
            sys.stderr.write(accepted)


def _check(
    table: Budgets, baselines: Baselines, *, update: bool, quiet: bool
) -> tuple[dict[str, Outcome | ProfilerError], list[tuple[Baseline, Profile]]]:
    """Return the outcome of each budget by its name, and the profiles of those that have one with their baselines."""
    import_quickly("torch")
    from profiler.guard import check as check_profile
    from profiler.run.count_requests import count_requests

    ready = {budget.name: _prepare(budget, baselines) for budget in table.budgets}
    results = count_requests([pair[1] for pair in ready.values() if not isinstance(pair, ProfilerError)])
    outcomes: dict[str, Outcome | ProfilerError] = {}
    counted: list[tuple[Baseline, Profile]] = []
    with counting("budgets checked", len(table.budgets), quiet=quiet) as bar:
        for budget in table.budgets:
            bar.describe(f"checking {budget.name}")
            try:
                baseline, _ = _or_raise(ready[budget.name])
                outcome, notes = next(results)
                for message in notes:
                    note(message, quiet=quiet)
                profile = _or_raise(outcome)
                limits = (limit for limit in budget.limits if not (update and limit.is_relative))
                outcomes[budget.name] = check_profile(budget.name, profile, limits, baseline.profile)
                counted.append((baseline, profile))
            except ProfilerError as error:  # the other budgets are checked all the same
                outcomes[budget.name] = error
            bar.advance()
    return outcomes, counted


def _prepare(budget: Budget, baselines: Baselines) -> tuple[Baseline, CountRequest] | ProfilerError:
    """Return the baseline of a budget and what to count, or the error in one of them."""
    from profiler.run.count_requests import CountRequest

    step = TrainingOptions(budget.train, budget.optimizer, budget.checkpoint, budget.freeze)
    try:
        baseline = baselines.read(budget.name)
        step.check()
        request = CountRequest(budget.target, budget.inputs, budget.batch, budget.dtype, budget.device, step.run)
    except ProfilerError as error:
        return error
    return baseline, request


def _or_raise(result: T | ProfilerError) -> T:
    if isinstance(result, ProfilerError):
        raise result
    return result


def _annotate(outcomes: Outcomes, table: Budgets) -> None:
    """Print workflow commands for GitHub; on stderr, so that JSON on stdout stays JSON."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        lines = {budget.name: budget.line for budget in table.budgets}
        sys.stderr.writelines(f"{line}\n" for line in github_annotations(outcomes, str(table.path), lines))


def _raise_worst(report: CheckReport, *, update: bool) -> None:
    """Raise the error with the highest exit status of all budgets."""
    errors = [outcome for outcome in report.outcomes.values() if isinstance(outcome, ProfilerError)]
    if errors:
        raise max(errors, key=lambda error: error.exit_status)
    if not report.passed:
        suffix = "; no baseline is updated" if update else ""
        raise CheckFailedError(report.verdict + suffix)


def _accept(baselines: Baselines, counted: list[tuple[Baseline, Profile]]) -> str:
    """Write the baselines that changed, and return what changed."""
    from profiler.guard import Acceptance

    accepted = [(baseline, profile, Acceptance.of(baseline, profile)) for baseline, profile in counted]
    baselines.accept(one for _, _, one in accepted if one is not None)
    parts = [f"\n{acceptance_text(baseline, profile)}" for baseline, profile, one in accepted if one is not None]
    unchanged = sum(one is None for _, _, one in accepted)
    if unchanged:
        parts.append(f"\n{unchanged} of {len(accepted)} baselines are unchanged.\n")
    return "".join(parts)
