"""Parse printed numbers: a number with its digits, a range, or a limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from profiler.errors import ClaimError
from profiler.escaping import quoted

_NUMBER = r"\d[\d_,]*(?:\.\d+)?(?:[eE][-+]?\d{1,3})?"
_MOST_DIGITS = 100
_FORMS = re.compile(rf"(?P<sign>[<>]?)\s*(?P<low>{_NUMBER})(?:\s*\.\.\s*(?P<high>{_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class PrintedNumber:
    """A printed number in base units: any value from *low* to *high*, where None is no limit."""

    low: Fraction | None
    high: Fraction | None
    #: The value of one unit in the last printed digit; 0 for a range or a limit.
    digit: Fraction

    def nearest(self, value: Fraction) -> Fraction:
        """Return the value from *low* to *high* that is nearest to *value*."""
        if self.low is not None and value < self.low:
            return self.low
        return self.high if self.high is not None and value > self.high else value


def parse_printed(text: str, scale: Fraction = Fraction(1)) -> PrintedNumber:
    """Parse a printed number.

    Args:
        text: A number, ``LOW..HIGH``, ``>NUMBER`` or ``<NUMBER``.
        scale: The printed unit in base units.

    Raises:
        ClaimError: It is not a number, a range or a limit.

    Example:
        >>> parse_printed("17.6").digit
        Fraction(1, 10)
        >>> parse_printed("350..400").nearest(Fraction(423))
        Fraction(400, 1)
    """
    match = _FORMS.fullmatch(text.strip())
    if any(len(digits) > _MOST_DIGITS for digits in re.findall(r"\d+", text)) or re.search(r"[eE][+-]?\d{4,}", text):
        most = f"at most {_MOST_DIGITS} digits, and powers below e1000"
        msg = f"cannot read the printed figure {quoted(text)}; write {most}"
        raise ClaimError(msg)
    if match is None or (match["sign"] and match["high"]):
        msg = f"cannot read the printed figure {quoted(text)}; write a number, LOW..HIGH, >NUMBER or <NUMBER"
        raise ClaimError(msg)
    low = _number(match["low"]) * scale
    if match["high"]:
        return PrintedNumber(low, _number(match["high"]) * scale, Fraction(0))
    if match["sign"] == ">":
        return PrintedNumber(low, None, Fraction(0))
    if match["sign"] == "<":
        return PrintedNumber(None, low, Fraction(0))
    return PrintedNumber(low, low, _last_digit(match["low"]) * scale)


def _number(text: str) -> Fraction:
    return Fraction(re.sub("[_,]", "", text))


def _last_digit(text: str) -> Fraction:
    """Return the value of one unit in the last digit."""
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(".")[2])
    return Fraction(10) ** (int(exponent or 0) - places)
