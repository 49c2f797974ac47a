"""``Variable``, a size that is varied, and ``CeilStep``, an integer that grows with a variable in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A size for every variable, by the variable's name.
Point = dict[str, int]
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Variable:
    """A size that is varied, and the sizes that it may have, in ascending order."""

    name: str
    sizes: Sequence[int]
    #: The model's default size; it is used wherever the user sets no other.
    base: int
    #: The letter for this variable in formulas; empty to use the name.
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
        """Return up to *count* distinct sizes, spread evenly over the logarithm of the range.

        The golden ratio keeps the sizes free of a common divisor, which could hide a step.

        Example:
            >>> Variable("batch", range(1, 1025), 1).spread(4)
            [73, 5, 372, 26]
        """
        order = (self.sizes[round(len(self.sizes) ** (i * _GOLDEN % 1)) - 1] for i in range(1, 8 * count))
        return list(dict.fromkeys((*order, *self.sizes[: 2 * count])))[:count]

    def __str__(self) -> str:
        """Format the sizes.

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
    """``ceil((variable + offset) / size)``; with size 1 and offset 0, the variable itself."""

    variable: str
    offset: int = 0
    size: int = 1

    def at(self, value: int) -> int:
        """Return the step's value where the variable is *value*."""
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
        """Whether this is the variable itself."""
        return self.size == 1 and self.offset == 0


def is_within(point: Mapping[str, int], variables: Iterable[Variable]) -> bool:
    """Return whether a point lies between the smallest and the largest size of every variable."""
    return all(v.low <= point[v.name] <= v.high for v in variables)


def format_point(point: Mapping[str, int]) -> str:
    """Format a point for a message.

    Example:
        >>> format_point({"batch": 2, "sequence": 7})
        'batch=2, sequence=7'
    """
    return ", ".join(f"{name}={value}" for name, value in point.items())
