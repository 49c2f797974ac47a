"""Hold what documents claim against live models, devices and their own arithmetic.

for verified in verify(find_document("tops")):
    print(verified.claim.id, verified.verdict)
"""

from profiler.verify.about import findings_about
from profiler.verify.all import verify_all
from profiler.verify.bench import Bench
from profiler.verify.verify import check, verify

__all__ = ["Bench", "check", "findings_about", "verify", "verify_all"]
