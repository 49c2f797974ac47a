"""Random models against oracles that share no code with the counter: closed forms, ones, the allocator and others."""

from __future__ import annotations

from random_models import trial
from random_models.oracles import ORACLES

from trust_checks.outcome import Outcome

#: Of the models of a full run, those of a quick one.
_QUICK = 100
_MOST_REPORTED = 3
#: Seeds of models are apart by this, so that no two runs have one in common.
_APART = 10**6


def run(*, quick: bool, seed: int) -> Outcome:
    """Draw models for each oracle, compare, and make those that fail smaller."""
    lost, notes, tried = [], [], 0
    for name, oracle in ORACLES.items():
        count = max(1, oracle.models // _QUICK) if quick else oracle.models
        wrong = [found for number in range(count) if (found := _try(name, seed * _APART + number))]
        lost += wrong[:_MOST_REPORTED]
        more = len(wrong) - _MOST_REPORTED
        lost += [f"{name}: and {more} others"] if more > 0 else []
        notes.append(f"{count:,} models by {name}")
        tried += count
    return Outcome(tried, "comparisons of random models", tuple(lost), tuple(notes))


def _try(name: str, seed: int) -> str | None:
    oracle = ORACLES[name]
    spec = oracle.spec(seed)
    words = trial.fault(oracle, spec)
    return words and f"{name}, seed {seed}: {trial.report(oracle, name, spec, words)}"
