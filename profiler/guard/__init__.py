"""Guard a model's cost: budgets, baselines, and what changed.

    budgets = load_budgets(path)              # what a file or a test allows
    baseline = Baselines(folder).read(name)   # the profile that was accepted
    outcome = check(profile, limits, baseline.profile)
    difference = diff(before, after)

Everything is a function from profiles to frozen values; only ``Baselines.accept`` writes.
"""

from typing import TYPE_CHECKING

from profiler.util.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from profiler.guard.baselines import Acceptance, Baseline, Baselines, compact
    from profiler.guard.budgets import Budget, Budgets, load_budgets
    from profiler.guard.check_limits import Check, Outcome, check
    from profiler.guard.differences import Change, Delta, Difference, ModuleChange, diff
    from profiler.guard.limits import Limit, parse_limits
    from profiler.guard.metrics import Metric, Place, amounts, value_of
    from profiler.guard.module_matching import Rename


__all__ = [
    "Acceptance",
    "Baseline",
    "Baselines",
    "Budget",
    "Budgets",
    "Change",
    "Check",
    "Delta",
    "Difference",
    "Limit",
    "Metric",
    "ModuleChange",
    "Outcome",
    "Place",
    "Rename",
    "amounts",
    "check",
    "compact",
    "diff",
    "load_budgets",
    "parse_limits",
    "value_of",
]

#: The module that defines each name. A command imports those that it needs: budgets and baselines take pydantic.
_DEFINED_IN = {
    "Acceptance": "profiler.guard.baselines",
    "Baseline": "profiler.guard.baselines",
    "Baselines": "profiler.guard.baselines",
    "Budget": "profiler.guard.budgets",
    "Budgets": "profiler.guard.budgets",
    "Change": "profiler.guard.differences",
    "Check": "profiler.guard.check_limits",
    "Delta": "profiler.guard.differences",
    "Difference": "profiler.guard.differences",
    "Limit": "profiler.guard.limits",
    "Metric": "profiler.guard.metrics",
    "ModuleChange": "profiler.guard.differences",
    "Outcome": "profiler.guard.check_limits",
    "Place": "profiler.guard.metrics",
    "Rename": "profiler.guard.module_matching",
    "amounts": "profiler.guard.metrics",
    "check": "profiler.guard.check_limits",
    "compact": "profiler.guard.baselines",
    "diff": "profiler.guard.differences",
    "load_budgets": "profiler.guard.budgets",
    "parse_limits": "profiler.guard.limits",
    "value_of": "profiler.guard.metrics",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _DEFINED_IN)
