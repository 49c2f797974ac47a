"""Claims held against our count: what each difference is made of, and what is left of it."""

from profiler.reconcile.reconcile import reconcile

__all__ = ["reconcile"]
