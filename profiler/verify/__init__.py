"""Hold what documents claim against live models, devices and their own arithmetic.

for verified in verify(find_document("tops")):
    print(verified.claim.id, verified.verdict)
"""

from profiler.verify.about_model import findings_about
from profiler.verify.measurements import Measurements
from profiler.verify.parallel import verify_all
from profiler.verify.verify import check, verify

__all__ = ["Measurements", "check", "findings_about", "verify", "verify_all"]
