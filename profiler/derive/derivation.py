"""Derive a verified closed form from a function that returns the cost at a point.

First each variable is varied by itself: are the costs polynomials in it or in its ceil-steps, or does the range split
into intervals with a polynomial each? Then the mixed terms are interpolated on a grid. Last, the result is checked at
points that were not used. If a check fails, the error names the point and the origin.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from profiler.derive.closed_form import Piece
from profiler.derive.hierarchical_basis import choose_nodes
from profiler.derive.interpolation import interpolate
from profiler.derive.piecewise import find_pieces
from profiler.derive.polynomials import evaluate
from profiler.derive.samples import Samples
from profiler.derive.strides import write_in_strides
from profiler.derive.univariate import find_bases
from profiler.derive.valid_sizes import restrict_to_valid_sizes
from profiler.derive.variables import Point, Variable, format_point, is_within
from profiler.errors import DerivationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from profiler.derive.polynomials import Polynomial
    from profiler.derive.samples import Origin
    from profiler.derive.univariate import Bases

#: Points to verify at least, if the ranges have so many.
_LEAST_VERIFIED = 5
_TRIES = 40


class Derivation(NamedTuple):
    """The variables, restricted to the sizes that the model accepts, and the pieces of the closed form."""

    variables: tuple[Variable, ...]
    pieces: tuple[Piece, ...]


def derive(
    cost: Callable[[Point], Mapping[Origin, int]],
    variables: tuple[Variable, ...],
    *,
    require_dependence: bool = True,
) -> Derivation:
    """Derive the polynomials that give a cost exactly, within the sizes of the variables.

    Args:
        cost: Returns the cost at a point, by origin. It may raise `ModelError` for sizes that the model rejects.
        variables: The sizes to vary.
        require_dependence: Raise if the cost does not depend on one of the variables.

    Returns:
        The variables and one piece; or several pieces, if the cost is a different polynomial on parts of a range.

    Raises:
        DerivationError: The model rejects a size, no polynomial holds, or the cost does not depend on a variable.
            The message names the sizes.

    Example:
        >>> from profiler.derive import Origin
        >>> attention = lambda point: {Origin("attn", "bmm"): 4 * point["sequence"] ** 2}
        >>> _, (piece,) = derive(attention, (Variable("sequence", range(2, 1025), 1024),))
        >>> piece.total
        {((CeilStep(variable='sequence', offset=0, size=1), 2),): Fraction(4, 1)}
    """
    samples = Samples(cost)
    valid = _restrict_all(samples, variables)
    pieces = _derive(samples, valid)
    if require_dependence:
        _check_dependence(pieces, valid)
    return Derivation(valid, pieces)


def _restrict_all(samples: Samples, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Restrict each variable to the sizes that the model accepts, one variable after the other."""
    restricted = list(variables)
    point = {v.name: v.spread(1)[0] for v in variables}
    for i, variable in enumerate(variables):
        for later in variables[i + 1 :]:  # not restricted yet: the model's own size is the safest
            point[later.name] = later.base if later.low <= later.base <= later.high else point[later.name]
        restricted[i] = restrict_to_valid_sizes(samples, variable, point)
        point[variable.name] = restricted[i].spread(1)[0]
    return tuple(restricted)


def _derive(samples: Samples, variables: tuple[Variable, ...]) -> tuple[Piece, ...]:
    anchor = {variable.name: variable.spread(1)[0] for variable in variables}
    bases: dict[str, Bases] = {}
    for variable in variables:
        bases[variable.name], failing = find_bases(samples, variable, anchor)
        if failing:
            return _derive_without_fit(samples, variables, variable, anchor, failing)
    nodes = {v.name: _nodes(samples, v, anchor, bases[v.name]) for v in variables}
    polynomials = write_in_strides(interpolate(samples, nodes, bases), variables)
    used = tuple(point for point in samples.points if is_within(point, variables))
    return (Piece(variables, polynomials, used, _verify(samples, variables, polynomials)),)


def _derive_without_fit(
    samples: Samples, variables: tuple[Variable, ...], variable: Variable, anchor: Point, failing: list[Origin]
) -> tuple[Piece, ...]:
    """Derive although some origins have no fit in *variable*: with merged operators, or interval by interval."""
    modules = frozenset(origin.module for origin in failing)
    if not modules <= samples.merged and _fit_when_merged(samples, variable, anchor, modules):
        samples.merged |= modules
        return _derive(samples, variables)
    intervals = find_pieces(lambda n: samples({**anchor, variable.name: n}), variable.sizes, variable.name)
    if intervals is None:
        raise DerivationError(_no_fit_message(samples, variable, anchor, failing))
    parts = (tuple(replace(v, sizes=sizes) if v is variable else v for v in variables) for sizes in intervals)
    return tuple(piece for part in parts for piece in _derive(samples, part))


def _fit_when_merged(samples: Samples, variable: Variable, anchor: Point, modules: frozenset[str]) -> bool:
    """Return whether all costs have a fit once the operators of some modules are summed."""
    before, samples.merged = samples.merged, samples.merged | modules
    try:
        return not find_bases(samples, variable, anchor)[1]
    finally:
        samples.merged = before


def _nodes(samples: Samples, variable: Variable, anchor: Point, bases: Bases) -> list[int]:
    """Choose the nodes of a variable among the sizes that were sampled already."""
    others = {k: v for k, v in anchor.items() if k != variable.name}
    line = [p[variable.name] for p in samples.points if {k: v for k, v in p.items() if k != variable.name} == others]
    sizes = dict.fromkeys([anchor[variable.name], *(n for n in line if variable.low <= n <= variable.high)])
    nodes = choose_nodes(variable.name, bases.values(), sizes)
    if nodes is None:
        msg = f"the sizes {variable} of {variable.name!r} are too few to determine its terms; widen the range"
        raise DerivationError(msg)
    return nodes


def _verify(
    samples: Samples, variables: tuple[Variable, ...], polynomials: dict[Origin, Polynomial]
) -> tuple[Point, ...]:
    """Check the polynomials at points that were not used, at least as many as there are terms; return these points.

    If the ranges have fewer points than that, check all of them.

    Raises:
        DerivationError: The cost at a point differs from its polynomial.
    """
    terms = len({monomial for polynomial in polynomials.values() for monomial in polynomial})
    wanted = max(terms, _LEAST_VERIFIED)
    used = samples.points
    points = [point for point in _draw(variables, 2 * wanted + _TRIES + len(used)) if point not in used][:wanted]
    every_size = [] if len(points) >= terms else [point for point in used if is_within(point, variables)]
    for point in (*points, *every_size):
        _check(samples, variables, polynomials, point)
    return tuple(points)


def _check(
    samples: Samples, variables: tuple[Variable, ...], polynomials: dict[Origin, Polynomial], point: Point
) -> None:
    costs = samples(point)
    for origin in {**costs, **polynomials}:
        predicted = evaluate(polynomials.get(origin, {}), point)
        if predicted != costs.get(origin, 0):
            names = ", ".join(v.name for v in variables)
            msg = (
                f"not a polynomial in {names}: at {format_point(point)} {_name(origin)} costs "
                f"{costs.get(origin, 0):,}, but the polynomial gives {predicted}; narrow the ranges or vary fewer sizes"
            )
            raise DerivationError(msg)


def _draw(variables: tuple[Variable, ...], count: int) -> Iterable[Point]:
    """Return the two corners of the ranges and random points, the same ones every time; all points if there are few."""
    names = [v.name for v in variables]
    if prod(len(v.sizes) for v in variables) <= count:
        return [dict(zip(names, sizes, strict=True)) for sizes in product(*(v.sizes for v in variables))]
    draw = random.Random(0)  # noqa: S311 - no secret: the same points every time
    corners = [{v.name: v.high for v in variables}, {v.name: v.low for v in variables}]
    drawn = [{v.name: draw.choice(v.sizes) for v in variables} for _ in range(count)]
    unique = {tuple(point.items()): point for point in (*corners, *drawn)}
    return unique.values()


def _check_dependence(pieces: tuple[Piece, ...], variables: tuple[Variable, ...]) -> None:
    """Raise if the cost does not depend on one of the variables."""
    for variable in variables:
        used = {step.variable for piece in pieces for p in piece.polynomials.values() for m in p for step, _ in m}
        is_split = any(_is_narrower(piece, variable) for piece in pieces)
        if variable.name not in used and not is_split and len(variable.sizes) > 1:
            msg = (
                f"the cost does not depend on {variable.name!r} (it is the same for {variable}); remove it from --vary"
            )
            raise DerivationError(msg)


def _is_narrower(piece: Piece, variable: Variable) -> bool:
    """Return whether a piece holds for only some of the sizes of a variable."""
    own = next(v for v in piece.variables if v.name == variable.name)
    return len(own.sizes) < len(variable.sizes)


def _no_fit_message(samples: Samples, variable: Variable, anchor: Point, failing: list[Origin]) -> str:
    """Describe the first origin without a fit, with some of its costs."""
    origin = failing[0]
    sizes = [n for n in dict.fromkeys(variable.spread(4)) if n in variable.sizes]
    costs = ", ".join(f"{n}: {samples({**anchor, variable.name: n}).get(origin, 0):,}" for n in sorted(sizes))
    more = f" (and of {len(failing) - 1} more)" if len(failing) > 1 else ""
    return (
        f"the cost of {_name(origin)}{more} is not a polynomial in {variable.name!r} for {variable}, nor in ceilings "
        f"of it ({costs}); narrow the range, or give its step as in LOW..HIGH:STEP"
    )


def _name(origin: Origin) -> str:
    return " ".join(part for part in (origin.module or "the model", origin.operator) if part)
