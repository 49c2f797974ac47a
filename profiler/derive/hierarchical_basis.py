"""A hierarchical basis in one variable: function i is zero at the nodes before node i, and one there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from sympy import QQ
from sympy.polys.matrices import DomainMatrix

from profiler.derive.fitting import solve
from profiler.derive.polynomials import Monomial, Polynomial, evaluate, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The basis that some monomials have on some nodes."""

    functions: tuple[Polynomial, ...]
    #: By function and node.
    values: tuple[tuple[Fraction, ...], ...]

    @classmethod
    def of(cls, variable: str, monomials: Sequence[Monomial], nodes: Sequence[int]) -> Hierarchy:
        """Combine the monomials, the first i of them for function i."""
        functions = tuple(_function(monomials[: i + 1], nodes[: i + 1]) for i in range(len(monomials)))
        return cls(functions, tuple(tuple(evaluate(f, {variable: node}) for node in nodes) for f in functions))

    def __len__(self) -> int:
        """Count the functions."""
        return len(self.functions)


def choose_nodes(variable: str, bases: Iterable[Sequence[Monomial]], sizes: Iterable[int]) -> list[int] | None:
    """Choose the first of the sizes on which every basis has its hierarchy; None where they are too few."""
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
    rows = [[QQ(value_of(m, {variable: node})) for m in monomials] for node in nodes]
    return bool(DomainMatrix(rows, (len(nodes), len(nodes)), QQ).rank() == len(nodes))


def _function(monomials: Sequence[Monomial], nodes: Sequence[int]) -> Polynomial:
    wanted = dict.fromkeys(nodes[:-1], 0) | {nodes[-1]: 1}
    coefficients = solve(monomials, wanted)
    if coefficients is None:
        msg = "the nodes do not tell the monomials apart"
        raise ValueError(msg)
    return {m: c for m, c in zip(monomials, coefficients, strict=True) if c}
