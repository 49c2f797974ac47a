"""Find the sizes of a variable at which a model runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.derive.samples import Samples
    from profiler.derive.variables import Point, Variable

#: Strides to try if some sizes are rejected: those of heads, groups, patches and windows.
_STRIDES = (2, 3, 4, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 64, 96, 128, 256)
_TRIED = 3
#: Up to this many sizes, each one is tried.
_FEW = 16


def restrict_to_valid_sizes(samples: Samples, variable: Variable, point: Point) -> Variable:
    """Return the variable with only the sizes that the model accepts.

    These are all its sizes, or the multiples of some number, or, for a short list, those that ran. If none of these
    works, the variable is returned unchanged; the first rejected size then raises when its cost is needed.

    Args:
        samples: Runs the model at a point.
        variable: The variable to restrict.
        point: The sizes of the other variables.
    """
    if _accepts(samples, variable, point):
        return variable
    sizes = variable.sizes
    for stride in _STRIDES if isinstance(sizes, range) else ():
        multiples = [size for size in sizes if size % stride == 0]
        if len(multiples) >= _TRIED:
            even = replace(variable, sizes=range(multiples[0], multiples[-1] + 1, multiples[1] - multiples[0]))
            if _accepts(samples, even, point):
                return even
    if len(sizes) <= _FEW:
        few = tuple(size for size in sizes if samples.accepts({**point, variable.name: size}))
        return replace(variable, sizes=few) if few else variable
    return variable


def _accepts(samples: Samples, variable: Variable, point: Point) -> bool:
    """Return whether the model runs at a few sizes from all over the range."""
    return all(samples.accepts({**point, variable.name: size}) for size in variable.spread(_TRIED))
