"""Find the sizes of a variable that a model takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.derive.samples import Samples
    from profiler.derive.variables import Point, Variable

#: Spacings that are tried where not every size is taken: those of heads, groups, patches and windows.
_SPACINGS = (2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 64, 96, 128, 256)
_TRIED = 3
#: As many sizes as are tried one by one.
_FEW = 16


def restrict_to_valid_sizes(samples: Samples, variable: Variable, point: Point) -> Variable:
    """Keep the sizes that the model takes: all, those of an even spacing, or those of a few that it takes.

    Where that fails the variable stays as it is, and its first refused size is told when it is measured.
    """
    if _takes(samples, variable, point):
        return variable
    sizes = variable.sizes
    for spacing in _SPACINGS if isinstance(sizes, range) else ():
        multiples = [size for size in sizes if size % spacing == 0]
        if len(multiples) >= _TRIED:
            even = replace(variable, sizes=range(multiples[0], multiples[-1] + 1, multiples[1] - multiples[0]))
            if _takes(samples, even, point):
                return even
    if len(sizes) <= _FEW:
        few = tuple(size for size in sizes if samples.accepts({**point, variable.name: size}))
        return replace(variable, sizes=few) if few else variable
    return variable


def _takes(samples: Samples, variable: Variable, point: Point) -> bool:
    """Say whether the model takes some sizes of all over the range."""
    return all(samples.accepts({**point, variable.name: size}) for size in variable.spread(_TRIED))
