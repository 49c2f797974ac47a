"""What documents say of a model that was just profiled: the claims that its profile can settle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.documents.about import about, is_plain
from profiler.verify.bench import Bench
from profiler.verify.verify import check

if TYPE_CHECKING:
    from profiler.claims import Finding
    from profiler.tally import Profile


def findings_about(target: str, profile: Profile) -> tuple[Finding, ...]:
    """Hold the documents' figures for a model against its profile; those that need another run are left out.

    Args:
        target: The model, as on the command line.
        profile: Of one forward pass with its default input.
    """
    bench = Bench()
    bench.adopt(target, profile)
    found: list[Finding] = []
    for document, claim in about(target):
        figures = tuple(f for f in claim.figures if all(is_plain(m, target) for m in f.measures.values()))
        if figures:
            verified = check(document, replace(claim, figures=figures), bench)
            found += [standing.finding for standing in verified.standings if not standing.status]
    return tuple(found)
