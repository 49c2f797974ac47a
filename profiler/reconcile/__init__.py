"""Claims held against our count: what each difference is made of, and what is left of it."""

from profiler.reconcile.compare import compare_with_peers, count_with_facts, select_peers
from profiler.reconcile.reconcile import reconcile

__all__ = ["compare_with_peers", "count_with_facts", "reconcile", "select_peers"]
