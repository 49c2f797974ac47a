"""Numbers as text: the only place that rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DECIMAL = ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_BINARY = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def count(value: int, unit: str = "") -> str:
    """Write a count with four digits and a decimal prefix.

    Example:
        >>> count(1_814_073_344, "MAC")
        '1.814 GMAC'
        >>> count(12), count(999_999)
        ('12', '1.000 M')
    """
    for power, prefix in _DECIMAL:
        if value >= power * (1 - 5e-5):  # 999,999 rounds up into the next prefix
            return f"{_four_digits(value / power)} {prefix}{unit}"
    return f"{value} {unit}".rstrip()


def size(value: int) -> str:
    """Write a number of bytes with a binary prefix.

    Example:
        >>> size(46_827_520), size(12)
        ('44.66 MiB', '12 B')
    """
    for unit_size, unit in _BINARY:
        if value >= unit_size:
            return f"{_four_digits(value / unit_size)} {unit}"
    return f"{value} B"


def exact(value: int) -> str:
    """Write every digit, in groups of three.

    Example:
        >>> exact(11_689_512)
        '11,689,512'
    """
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Write *part* as per cent of *whole*, to one decimal; empty where there is no whole.

    Example:
        >>> share(1, 3), share(0, 0)
        ('33.3', '')
    """
    return f"{100 * part / whole:.1f}" if whole else ""


def shape(sizes: Iterable[int]) -> str:
    """Write a shape.

    Example:
        >>> shape((1, 3, 224, 224)), shape(())
        ('1×3×224×224', 'scalar')
    """
    return "×".join(str(s) for s in sizes) or "scalar"


def _four_digits(value: float) -> str:
    """Round to four digits, at most three of them after the point."""
    decimals = 3 - (len(str(int(value))) - 1)
    text = f"{value:.{max(decimals, 0)}f}"
    return f"{value:.{max(decimals - 1, 0)}f}" if len(text.replace(".", "")) > 4 else text  # noqa: PLR2004 - four digits
