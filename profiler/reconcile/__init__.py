"""Claims held against our count: what each difference is made of, and what is left of it."""

from profiler.reconcile.against import against, choose, observe
from profiler.reconcile.reconcile import reconcile

__all__ = ["against", "choose", "observe", "reconcile"]
