"""A hierarchical basis in one variable: function i is 1 at node i and 0 at every node before it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from profiler.derive.fitting import solve
from profiler.derive.polynomials import Monomial, Polynomial, evaluate, evaluate_monomial

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class HierarchicalBasis:
    """Basis functions, and their values at the nodes."""

    functions: tuple[Polynomial, ...]
    #: ``values[i][j]`` is the value of function i at node j.
    values: tuple[tuple[Fraction, ...], ...]

    @classmethod
    def of(cls, variable: str, monomials: Sequence[Monomial], nodes: Sequence[int]) -> HierarchicalBasis:
        """Build the basis; function i is a combination of the monomials 0 to i."""
        functions = tuple(_function(monomials[: i + 1], nodes[: i + 1]) for i in range(len(monomials)))
        return cls(functions, tuple(tuple(evaluate(f, {variable: node}) for node in nodes) for f in functions))

    def __len__(self) -> int:
        """Return the number of functions."""
        return len(self.functions)


def choose_nodes(variable: str, bases: Iterable[Sequence[Monomial]], sizes: Iterable[int]) -> list[int] | None:
    """Choose the first of the sizes that can be nodes for every basis; return None if there are too few sizes."""
    distinct = list(dict.fromkeys(tuple(basis) for basis in bases))
    needed = max((len(basis) for basis in distinct), default=1)
    nodes: list[int] = []
    for size in sizes:
        if len(nodes) == needed:
            break
        longer = [*nodes, size]
        if all(_is_regular(variable, basis[: len(longer)], longer) for basis in distinct if len(basis) >= len(longer)):
            nodes = longer
    return nodes if len(nodes) == needed else None


def _is_regular(variable: str, monomials: Sequence[Monomial], nodes: Sequence[int]) -> bool:
    """Return whether values at the nodes determine the coefficients of the monomials."""
    rows = [[QQ(evaluate_monomial(m, {variable: node})) for m in monomials] for node in nodes]
    return bool(DomainMatrix(rows, (len(nodes), len(nodes)), QQ).rank() == len(nodes))


def _function(monomials: Sequence[Monomial], nodes: Sequence[int]) -> Polynomial:
    values = dict.fromkeys(nodes[:-1], 0) | {nodes[-1]: 1}
    coefficients = solve(monomials, values)
    if coefficients is None:
        msg = "the monomials are linearly dependent on the nodes"
        raise ValueError(msg)
    return {m: c for m, c in zip(monomials, coefficients, strict=True) if c}
