"""What documents say of a model that was just profiled: the claims that its profile can settle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents.about_target import about, is_plain
from profiler.verify.measurements import Measurements
from profiler.verify.verify import check

if TYPE_CHECKING:
    from profiler.tally import Profile
    from profiler.values.findings import Finding


def findings_about(target: str, profile: Profile) -> tuple[Finding, ...]:
    """Hold the documents' figures for a model against its profile; those that need another run are left out.

    Args:
        target: The model, as on the command line.
        profile: Of one forward pass with its default input.
    """
    bench = Measurements()
    bench.add_profile(target, profile)
    found: list[Finding] = []
    for document, claim in about(target):
        figures = tuple(f for f in claim.figures if all(is_plain(m, target) for m in f.measures.values()))
        if figures:
            claim_results = check(document, replace(claim, figures=figures), bench)
            found += [result.finding for result in claim_results.results if not result.status]
    return tuple(found)
