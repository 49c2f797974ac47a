"""Compare the claims of peers with our count: the causes of each difference, and the unexplained rest."""

from profiler.reconcile.compare import compare_with_peers, count_and_compare, count_with_facts
from profiler.reconcile.reconcile import reconcile

__all__ = ["compare_with_peers", "count_and_compare", "count_with_facts", "reconcile"]
