"""Random models against oracles that share no code with the counter: closed forms, ones, the allocator and others."""

from __future__ import annotations

from random_models import trial
from random_models.oracles import ORACLES

from trust_checks.outcome import Outcome

#: Of the models of a full run, those of a quick one.
_QUICK = 100
_MOST_REPORTED = 3
#: Oracles that can be asked alone.
SECTIONS = tuple(ORACLES)
#: Seeds of models are apart by this, so that no two runs have one in common.
_APART = 10**6


def run(*, quick: bool, seed: int, only: str | None = None, numbers: range | None = None) -> Outcome:
    """Draw models for each oracle, compare, and make those that fail smaller."""
    lost, notes, tried = [], [], 0
    for name in [only] if only else SECTIONS:
        full = ORACLES[name].models
        drawn = numbers or range(max(1, full // _QUICK) if quick else full)
        wrong = [found for number in drawn if (found := _try(name, seed * _APART + number))]
        lost += wrong[:_MOST_REPORTED]
        more = len(wrong) - _MOST_REPORTED
        lost += [f"{name}: and {more} others"] if more > 0 else []
        notes.append(f"{len(drawn):,} models by {name}")
        tried += len(drawn)
    return Outcome(tried, "comparisons of random models", tuple(lost), tuple(notes))


def _try(name: str, seed: int) -> str | None:
    oracle = ORACLES[name]
    spec = oracle.spec(seed)
    words = trial.fault(oracle, spec)
    return words and f"{name}, seed {seed}: {trial.report(oracle, name, spec, words)}"
