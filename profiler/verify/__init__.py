"""Check what documents claim, against live models, the catalogue of devices and the documents' own arithmetic.

for result in verify(find_document("tops")):
    print(result.claim.id, result.verdict)
"""

from profiler.verify.measurements import Measurements
from profiler.verify.parallel import verify_all
from profiler.verify.verify import check, findings_about, verify

__all__ = ["Measurements", "check", "findings_about", "verify", "verify_all"]
