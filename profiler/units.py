"""Format numbers as text. No other module rounds."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DECIMAL = ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_BINARY = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
#: Units that are words, unlike symbols such as FLOP or byte/s, and so have a plural.
_WORDS = {"byte": "bytes", "element": "elements", "frame": "frames", "layer": "layers", "parameter": "parameters",
          "patch": "patches", "product": "products", "token": "tokens"}  # fmt: skip
_WORD_UNIT = re.compile(rf"(?P<prefix>(?:[kMGTPE]|[KMG]i)?)(?P<word>{'|'.join(_WORDS)})")


def count(value: int, unit: str = "") -> str:
    """Format a count with four digits and a decimal prefix.

    Example:
        >>> count(1_814_073_344, "MAC")
        '1.814 GMAC'
        >>> count(12), count(999_999)
        ('12', '1.000 M')
    """
    for power, prefix in _DECIMAL:
        if value >= power * (1 - 5e-5):  # 999,999 rounds up to the next prefix
            return with_unit(_four_digits(value / power), prefix + unit)
    return with_unit(str(value), unit)


def with_unit(number: str, unit: str) -> str:
    """Join a number, already written as text, and its unit.

    A unit that is a word stands apart from its prefix, and in the plural unless the number is 1; a symbol stays as it
    is. ``ratio`` is left out: it is the unit of a plain number.

    Example:
        >>> with_unit("3.643", "GFLOP"), with_unit("11.69", "Mparameter"), with_unit("1", "layer")
        ('3.643 GFLOP', '11.69 M parameters', '1 layer')
    """
    if unit == "ratio":
        return number
    match = _WORD_UNIT.fullmatch(unit)
    if match is None:
        return f"{number} {unit}".rstrip()
    prefix, word = match.groups()
    is_one = not prefix and number.lstrip("+−-") == "1"
    return " ".join(filter(None, (number, prefix, word if is_one else _WORDS[word])))


def size(value: int) -> str:
    """Format a number of bytes with a binary prefix.

    Example:
        >>> size(46_827_520), size(12)
        ('44.66 MiB', '12 B')
    """
    for unit_size, unit in _BINARY:
        if value >= unit_size:
            return f"{_four_digits(value / unit_size)} {unit}"
    return f"{value} B"


def seconds(value: float) -> str:
    """Format a time in seconds with four digits, in the largest unit that it reaches.

    Example:
        >>> seconds(0.0008469), seconds(90.0), seconds(86_400 * 3)
        ('846.9 µs', '1.500 min', '3.000 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size:
            return f"{_four_digits(value / size)} {unit}"
    return f"{_four_digits(value / 1e-9)} ns"


def joules(value: float) -> str:
    """Format an energy in joules with four digits, in the largest unit that it reaches.

    Example:
        >>> joules(0.04045), joules(26_300.0), joules(5.4e9)
        ('40.45 mJ', '26.30 kJ', '5.400 GJ')
    """
    for size, unit in ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1, "J"), (1e-3, "mJ")):
        if value >= size:
            return f"{_four_digits(value / size)} {unit}"
    return f"{_four_digits(value / 1e-6)} µJ"


def rounded(value: float) -> str:
    """Format a number with four digits.

    Example:
        >>> rounded(14.18821), rounded(425.646), rounded(0.00555), rounded(120_000.0)
        ('14.19', '425.6', '0.005550', '120,000')
    """
    if value >= 10_000:  # noqa: PLR2004 - numbers of five or more digits get no decimals
        return f"{value:,.0f}"
    return _four_digits(value) if value >= 1 else f"{value:#.4g}"


def exact(value: int) -> str:
    """Format a count with every digit, in groups of three.

    Example:
        >>> exact(11_689_512)
        '11,689,512'
    """
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Format *part* as a percentage of *whole*, to one decimal; return "" if *whole* is 0.

    Example:
        >>> share(1, 3), share(0, 0)
        ('33.3', '')
    """
    return f"{100 * part / whole:.1f}" if whole else ""


def shape(sizes: Iterable[int]) -> str:
    """Format a shape.

    Example:
        >>> shape((1, 3, 224, 224)), shape(())
        ('1×3×224×224', 'scalar')
    """
    return "×".join(str(s) for s in sizes) or "scalar"


def _four_digits(value: float) -> str:
    """Format a number with four digits, at most three of them decimals."""
    if not math.isfinite(value):
        return str(value)
    decimals = 3 - (len(str(int(value))) - 1)
    text = f"{value:.{max(decimals, 0)}f}"
    return f"{value:.{max(decimals - 1, 0)}f}" if len(text.replace(".", "")) > 4 else text  # noqa: PLR2004 - four digits
