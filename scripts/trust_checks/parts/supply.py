"""What is installed: whether it is what the package requires, and under which licences."""

from __future__ import annotations

from collections import Counter

from trust_checks.distributions import installed, licence, unmet
from trust_checks.outcome import Outcome

_NOT_LOOKED_UP = "known vulnerabilities are not looked up, which takes the network: run pip-audit where there is one"


def run(*, quick: bool, seed: int) -> Outcome:
    """Look at every distribution that the package needs; one is lost if it is missing, or of another version."""
    del seed
    found = installed("profiler")
    licences = [(name, licence(each)) for name, each in found.items() if each is not None]
    counts = ", ".join(f"{said} {times}" for said, times in Counter(said for _, said in licences).most_common())
    rows = (f"licences: {counts}",) if quick else (f"{name}: {said}" for name, said in licences)
    return Outcome(len(found), "distributions that the package needs", tuple(unmet(found)), (*rows, _NOT_LOOKED_UP))
