"""Guard a model's cost: budgets, baselines, and what changed.

    budgets = load_budgets(path)              # what a file or a test allows
    baseline = Baselines(folder).read(name)   # the profile that was accepted
    outcome = check(profile, limits, baseline.profile)
    difference = diff(before, after)

Everything is a function from profiles to frozen values; only ``Baselines.accept`` writes.
"""

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
