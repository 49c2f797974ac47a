"""Polynomials on evenly spaced sizes: where every resolution is a multiple of 14, it and its patches tell the same."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.derive.polynomials import Polynomial, add, multiply_monomials, power
from profiler.derive.variables import CeilStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.derive.samples import Origin
    from profiler.derive.variables import Variable


def write_in_strides(parts: dict[Origin, Polynomial], variables: Iterable[Variable]) -> dict[Origin, Polynomial]:
    """Write a variable by the number of its spacings, where this makes fractions whole: ``R²/196`` as ``⌈R/14⌉²``.

    Where it does so for most of the costs that the variable is in, all are written so.
    """
    for variable in variables:
        spacing = stride_of(variable)
        if spacing == 1:
            continue
        step, counted = CeilStep(variable.name), CeilStep(variable.name, 0, spacing)
        concerned = {o: p for o, p in parts.items() if any(s == step for m in p for s, _ in m)}
        changed = {o: _replaced(p, step, counted, spacing) for o, p in concerned.items()}
        better = {o: p for o, p in changed.items() if _fractions(p) < _fractions(concerned[o])}
        parts = parts | (changed if 2 * len(better) > len(concerned) else better)
    return parts


def write_in_sizes(polynomial: Polynomial, variables: Iterable[Variable]) -> Polynomial:
    """Write the steps that divide every size of a variable by the variable; the inverse of ``write_in_strides``."""
    for variable in variables:
        for step in {step for monomial in polynomial for step, _ in monomial if step.variable == variable.name}:
            if step.offset == 0 and step.size > 1 and stride_of(variable) % step.size == 0:
                polynomial = _replaced(polynomial, step, CeilStep(variable.name), Fraction(1, step.size))
    return polynomial


def stride_of(variable: Variable) -> int:
    """Give the number of which the sizes are successive multiples; 1 where they are none."""
    sizes = variable.sizes
    return sizes.step if isinstance(sizes, range) and len(sizes) > 1 and sizes[0] % sizes.step == 0 else 1


def _replaced(polynomial: Polynomial, old: CeilStep, new: CeilStep, factor: Fraction | int) -> Polynomial:
    """Put ``factor · new`` for a step."""
    terms = []
    for monomial, coefficient in polynomial.items():
        exponent = dict(monomial).get(old, 0)
        rest = tuple((step, n) for step, n in monomial if step != old)
        terms.append({multiply_monomials(rest, power(new, exponent)): coefficient * Fraction(factor) ** exponent})
    return add(terms)


def _fractions(polynomial: Polynomial) -> int:
    return sum(c.denominator != 1 for c in polynomial.values())
