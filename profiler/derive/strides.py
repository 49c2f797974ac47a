"""Rewrite polynomials over evenly spaced sizes: if every resolution is a multiple of 14, ``R`` is ``14·⌈R/14⌉``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.derive.polynomials import Polynomial, add, multiply_monomials, power
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.derive.samples import Origin
    from profiler.derive.variables import Variable


def write_in_strides(polynomials: dict[Origin, Polynomial], variables: Iterable[Variable]) -> dict[Origin, Polynomial]:
    """Replace a variable by the number of its strides where that avoids fractions: ``R²/196`` becomes ``⌈R/14⌉²``.

    If this removes fractions from most of the polynomials with the variable, all of them are rewritten.
    """
    for variable in variables:
        stride = stride_of(variable)
        if stride == 1:
            continue
        size, count = CeilStep(variable.name), CeilStep(variable.name, 0, stride)
        affected = {o: p for o, p in polynomials.items() if any(s == size for m in p for s, _ in m)}
        rewritten = {o: _replace(p, size, count, stride) for o, p in affected.items()}
        better = {o: p for o, p in rewritten.items() if _fractions(p) < _fractions(affected[o])}
        polynomials = polynomials | (rewritten if 2 * len(better) > len(affected) else better)
    return polynomials


def write_in_sizes(polynomial: Polynomial, variables: Iterable[Variable]) -> Polynomial:
    """Replace steps that divide every size of a variable by the variable itself; the inverse of `write_in_strides`."""
    for variable in variables:
        for step in {step for monomial in polynomial for step, _ in monomial if step.variable == variable.name}:
            if step.offset == 0 and step.size > 1 and stride_of(variable) % step.size == 0:
                polynomial = _replace(polynomial, step, CeilStep(variable.name), Fraction(1, step.size))
    return polynomial


def stride_of(variable: Variable) -> int:
    """Return the number whose consecutive multiples the sizes are; 1 if there is none."""
    sizes = variable.sizes
    return sizes.step if isinstance(sizes, range) and len(sizes) > 1 and sizes[0] % sizes.step == 0 else 1


def _replace(polynomial: Polynomial, old: CeilStep, new: CeilStep, factor: Fraction | int) -> Polynomial:
    """Replace the step *old* by ``factor · new``."""
    terms = []
    for monomial, coefficient in polynomial.items():
        exponent = dict(monomial).get(old, 0)
        rest = tuple((step, n) for step, n in monomial if step != old)
        terms.append({multiply_monomials(rest, power(new, exponent)): coefficient * Fraction(factor) ** exponent})
    return add(terms)


def _fractions(polynomial: Polynomial) -> int:
    return sum(c.denominator != 1 for c in polynomial.values())
