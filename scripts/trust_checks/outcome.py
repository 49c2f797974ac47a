"""What a part of ``scripts/trust`` returns, and the line that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a part tried, and what was lost.

    Attributes:
        tried: How many cases ran.
        what: What one case is, in the plural: "files that are changed at random".
        lost: One line for each case in which something was lost, with what repeats it.
        notes: What else has to be said, as what could not be tried on this machine.
    """

    tried: int
    what: str
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Part(Protocol):
    """A file in ``parts/``: a module with one function.

    A part whose sections can run alone lists their names in ``SECTIONS``, and its function takes ``only``, one of them.
    A part whose cases are numbered takes ``numbers``, a range: those run, and neither fewer nor more.
    """

    def run(self, *, quick: bool, seed: int) -> Outcome:
        """Try the cases; a small share of them if *quick*. The same *seed* tries the same ones."""
        ...


def lines(name: str, outcome: Outcome, seconds: float) -> list[str]:
    """Return the line of a part, and those of what was lost and noted, indented."""
    lost = str(len(outcome.lost)) if outcome.lost else "nothing"
    first = f"{name}: {outcome.tried:,} {outcome.what}; lost: {lost} ({seconds:.0f} s)"
    return [first, *(f"  lost: {line}" for line in outcome.lost), *(f"  note: {note}" for note in outcome.notes)]
