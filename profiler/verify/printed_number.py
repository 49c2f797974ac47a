"""Figures as they are printed: a number with its digits, a range, or a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from profiler.errors import ClaimError

_NUMBER = r"\d[\d_,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?"
_FORMS = re.compile(rf"(?P<sign>[<>]?)\s*(?P<low>{_NUMBER})(?:\s*\.\.\s*(?P<high>{_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class Printed:
    """A printed figure in base units: the numbers from *low* to *high*, rounded to a *digit*."""

    low: Fraction | None
    high: Fraction | None
    #: What one in the last printed digit is worth; 0 for a range or a limit.
    digit: Fraction

    def nearest(self, value: Fraction) -> Fraction:
        """Give the number that it stands for which is nearest to a value."""
        if self.low is not None and value < self.low:
            return self.low
        return self.high if self.high is not None and value > self.high else value


def read_printed(text: str, scale: Fraction = Fraction(1)) -> Printed:
    """Read a figure, in a unit that is *scale* base units.

    Raises:
        ClaimError: It is no number, range or limit.

    Example:
        >>> read_printed("17.6").digit
        Fraction(1, 10)
        >>> read_printed("350..400").nearest(Fraction(423))
        Fraction(400, 1)
    """
    match = _FORMS.fullmatch(text.strip())
    if match is None or (match["sign"] and match["high"]):
        msg = f"cannot read the printed figure {text!r}; write a number, LOW..HIGH, >NUMBER or <NUMBER"
        raise ClaimError(msg)
    low = _number(match["low"]) * scale
    if match["high"]:
        return Printed(low, _number(match["high"]) * scale, Fraction(0))
    if match["sign"]:
        return Printed(low, None, Fraction(0)) if match["sign"] == ">" else Printed(None, low, Fraction(0))
    return Printed(low, low, _digit(match["low"]) * scale)


def _number(text: str) -> Fraction:
    return Fraction(re.sub("[_,]", "", text))


def _digit(text: str) -> Fraction:
    """Say what one in the last digit is worth."""
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(".")[2])
    return Fraction(10) ** (int(exponent or 0) - places)
