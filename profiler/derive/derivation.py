"""From a function that measures to a closed form that is verified.

Each variable is followed by itself first: are the costs polynomials in it, or in its steps, or are there several
stretches of it, each with its own? Then the mixed terms are found on a grid, and the whole is held against points that
were not used. What does not hold is refused, with the point and the origin that break it.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product as every
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
from profiler.derive.variables import Point, Variable, format_point
from profiler.errors import DerivationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from profiler.derive.polynomials import Polynomial
    from profiler.derive.samples import Origin
    from profiler.derive.univariate import Bases

#: Points that are verified at least, where the ranges have so many.
_LEAST_VERIFIED = 5
_TRIES = 40


class Derivation(NamedTuple):
    """What was found: the variables, with the sizes that the model takes, and the pieces."""

    variables: tuple[Variable, ...]
    pieces: tuple[Piece, ...]


def derive(
    measure: Callable[[Point], Mapping[Origin, int]],
    variables: tuple[Variable, ...],
    *,
    require_dependence: bool = True,
) -> Derivation:
    """Give the polynomials that hold within the variables' sizes: one piece, or several with their own sizes.

    Args:
        measure: From a setting of the variables to the cost there, by origin.
        variables: What is varied.
        require_dependence: Whether a variable that the cost does not depend on is an error.

    Raises:
        DerivationError: The model refuses a size, or no polynomial holds; the message has the sizes.
    """
    samples = Samples(measure)
    accepted = _accepted(samples, variables)
    pieces = _derive(samples, accepted)
    if require_dependence:
        _check_all_matter(pieces, accepted)
    return Derivation(accepted, pieces)


def _accepted(samples: Samples, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """Keep of each variable the sizes that the model takes: every size, or the multiples of some number.

    Raises:
        DerivationError: No even spacing of sizes is taken.
    """
    settled = list(variables)
    point = {v.name: v.spread(1)[0] for v in variables}
    for i, variable in enumerate(variables):
        for other in variables[i + 1 :]:  # those that come later may not be settled yet: their own size is safest
            point[other.name] = other.base if other.low <= other.base <= other.high else point[other.name]
        settled[i] = restrict_to_valid_sizes(samples, variable, point)
        point[variable.name] = settled[i].spread(1)[0]
    return tuple(settled)


def _derive(samples: Samples, variables: tuple[Variable, ...]) -> tuple[Piece, ...]:
    anchor = {variable.name: variable.spread(1)[0] for variable in variables}
    found: dict[str, Bases] = {}
    for variable in variables:
        found[variable.name], failing = find_bases(samples, variable, anchor)
        if failing:
            return _derive_otherwise(samples, variables, variable, anchor, failing)
    nodes = {v.name: _nodes(samples, v, anchor, found[v.name]) for v in variables}
    parts = write_in_strides(interpolate(samples, nodes, found), variables)
    used = tuple(point for point in samples.points if _is_within(point, variables))
    return (Piece(variables, parts, used, _verify(samples, variables, parts)),)


def _derive_otherwise(
    samples: Samples, variables: tuple[Variable, ...], variable: Variable, anchor: Point, failing: list[Origin]
) -> tuple[Piece, ...]:
    """Derive where one variable has no plain form: with the operators of a module together, or piece by piece."""
    modules = frozenset(origin.module for origin in failing)
    if not modules <= samples.merged and _are_smooth_together(samples, variable, anchor, modules):
        samples.merged |= modules
        return _derive(samples, variables)
    stretches = find_pieces(lambda n: samples({**anchor, variable.name: n}), variable.sizes, variable.name)
    if stretches is None:
        raise DerivationError(_no_form(samples, variable, anchor, failing))
    parts = (tuple(replace(v, sizes=s) if v is variable else v for v in variables) for s in stretches)
    return tuple(piece for part in parts for piece in _derive(samples, part))


def _are_smooth_together(samples: Samples, variable: Variable, anchor: Point, modules: frozenset[str]) -> bool:
    """Say whether costs that are no polynomials by operator are so by module."""
    kept, samples.merged = samples.merged, samples.merged | modules
    try:
        return not find_bases(samples, variable, anchor)[1]
    finally:
        samples.merged = kept


def _nodes(samples: Samples, variable: Variable, anchor: Point, found: Bases) -> list[int]:
    """Choose the sizes of the grid among those that were measured already."""
    others = {k: v for k, v in anchor.items() if k != variable.name}
    line = [p[variable.name] for p in samples.points if {k: v for k, v in p.items() if k != variable.name} == others]
    sizes = dict.fromkeys([anchor[variable.name], *(n for n in line if variable.low <= n <= variable.high)])
    nodes = choose_nodes(variable.name, found.values(), sizes)
    if nodes is None:
        msg = f"the sizes {variable} of {variable.name!r} are too few to tell its terms apart; widen the range"
        raise DerivationError(msg)
    return nodes


def _verify(samples: Samples, variables: tuple[Variable, ...], parts: dict[Origin, Polynomial]) -> tuple[Point, ...]:
    """Measure points that were not used, at least as many as there are terms.

    Where the ranges hold fewer, all their points are measured, and all are held against the form.

    Raises:
        DerivationError: A cost there is another.
    """
    terms = len({monomial for polynomial in parts.values() for monomial in polynomial})
    wanted = max(terms, _LEAST_VERIFIED)
    used = samples.points
    points = [point for point in _draw(variables, 2 * wanted + _TRIES + len(used)) if point not in used][:wanted]
    every_size = [] if len(points) >= terms else [point for point in used if _is_within(point, variables)]
    for point in (*points, *every_size):
        _check(samples, variables, parts, point)
    return tuple(points)


def _check(samples: Samples, variables: tuple[Variable, ...], parts: dict[Origin, Polynomial], point: Point) -> None:
    measured = samples(point)
    for origin in {**measured, **parts}:
        said = evaluate(parts.get(origin, {}), point)
        if said != measured.get(origin, 0):
            names = ", ".join(v.name for v in variables)
            msg = (
                f"no polynomial in {names}: at {format_point(point)} {_name(origin)} costs "
                f"{measured.get(origin, 0):,}, "
                f"and the form found says {said}; narrow the ranges, or vary fewer sizes"
            )
            raise DerivationError(msg)


def _draw(variables: tuple[Variable, ...], count: int) -> Iterable[Point]:
    """Give the far corner, the near one, and others at random, the same every time; all where they are that few."""
    names = [v.name for v in variables]
    if prod(len(v.sizes) for v in variables) <= count:
        return [dict(zip(names, sizes, strict=True)) for sizes in every(*(v.sizes for v in variables))]
    draw = random.Random(0)  # noqa: S311 - no secret: the same points every time
    corners = [{v.name: v.high for v in variables}, {v.name: v.low for v in variables}]
    drawn = [{v.name: draw.choice(v.sizes) for v in variables} for _ in range(count)]
    unique = {tuple(point.items()): point for point in (*corners, *drawn)}
    return unique.values()


def _is_within(point: Point, variables: tuple[Variable, ...]) -> bool:
    return all(v.low <= point[v.name] <= v.high for v in variables)


def _check_all_matter(pieces: tuple[Piece, ...], variables: tuple[Variable, ...]) -> None:
    """Refuse a variable that the cost does not depend on."""
    for variable in variables:
        used = {step.variable for piece in pieces for p in piece.parts.values() for m in p for step, _ in m}
        whole = any(len(piece.variables) and _differs(piece, variable) for piece in pieces)
        if variable.name not in used and not whole and len(variable.sizes) > 1:
            msg = f"the cost does not depend on {variable.name!r} (the same for {variable}); leave it out of --vary"
            raise DerivationError(msg)


def _differs(piece: Piece, variable: Variable) -> bool:
    mine = next(v for v in piece.variables if v.name == variable.name)
    return len(mine.sizes) < len(variable.sizes)


def _no_form(samples: Samples, variable: Variable, anchor: Point, failing: list[Origin]) -> str:
    """Say which origin breaks, and with which costs."""
    origin = failing[0]
    sizes = [n for n in dict.fromkeys(variable.spread(4)) if n in variable.sizes]
    seen = ", ".join(f"{n}: {samples({**anchor, variable.name: n}).get(origin, 0):,}" for n in sorted(sizes))
    more = f" and {len(failing) - 1} more" if len(failing) > 1 else ""
    return (
        f"{_name(origin)}{more} is no polynomial in {variable.name!r} for {variable}, nor in steps of it ({seen}); "
        "narrow the range, or give its step as in LOW..HIGH:STEP"
    )


def _name(origin: Origin) -> str:
    return " ".join(part for part in (origin.module or "the model", origin.operator) if part)
