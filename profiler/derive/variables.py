"""``Variable``: a size that is varied, and ``CeilStep``: a whole number that follows from it in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A setting of every variable, by name.
Point = dict[str, int]
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Variable:
    """A size that is varied, and the sizes that it takes, in ascending order."""

    name: str
    sizes: Sequence[int]
    #: The size that the model has by default; answers are given for it where a variable is not the one asked for.
    base: int
    #: The letter that stands for it in a formula.
    letter: str = ""

    @property
    def low(self) -> int:
        """The smallest size."""
        return self.sizes[0]

    @property
    def high(self) -> int:
        """The largest size."""
        return self.sizes[-1]

    def spread(self, count: int) -> list[int]:
        """List sizes all over the range, evenly in their logarithm and of no common divisor.

        Example:
            >>> Variable("batch", range(1, 1025), 1).spread(4)
            [73, 5, 372, 26]
        """
        order = (self.sizes[round(len(self.sizes) ** (i * _GOLDEN % 1)) - 1] for i in range(1, 8 * count))
        return list(dict.fromkeys((*order, *self.sizes[: 2 * count])))[:count]

    def __str__(self) -> str:
        """Write the sizes.

        Example:
            >>> print(Variable("hidden", range(64, 513, 64), 512))
            64, 128 … 512
            >>> print(Variable("batch", range(1, 9), 1))
            1 … 8
        """
        sizes = self.sizes
        if len(sizes) <= 3:  # noqa: PLR2004 - a list that short is clearer whole
            return ", ".join(map(str, sizes))
        if isinstance(sizes, range):
            return f"{self.low} … {self.high}" if sizes.step == 1 else f"{self.low}, {sizes[1]} … {self.high}"
        return ", ".join(map(str, sizes))


class CeilStep(NamedTuple):
    """``ceil((variable + offset) / size)``; the variable itself where the size is 1."""

    variable: str
    offset: int = 0
    size: int = 1

    def at(self, value: int) -> int:
        """Give its value where the variable is *value*."""
        return -((-value - self.offset) // self.size)

    def coarser(self) -> list[CeilStep]:
        """List the steps that jump at every second, third or fourth jump of this one.

        Example:
            >>> CeilStep("n", 0, 2).coarser()[:2]
            [CeilStep(variable='n', offset=0, size=4), CeilStep(variable='n', offset=-2, size=4)]
        """
        return [
            CeilStep(self.variable, self.offset - j * self.size, k * self.size) for k in (2, 3, 4) for j in range(k)
        ]

    @property
    def is_plain(self) -> bool:
        """Whether it is the variable itself."""
        return self.size == 1 and self.offset == 0


def format_point(point: Mapping[str, int]) -> str:
    """Write a point.

    Example:
        >>> format_point({"batch": 2, "sequence": 7})
        'batch=2, sequence=7'
    """
    return ", ".join(f"{name}={value}" for name, value in point.items())
