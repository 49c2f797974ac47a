"""``Line``: a figure of a report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the totals: a label, the exact number, and the same number rounded."""

    label: str
    exact: str
    short: str = ""
