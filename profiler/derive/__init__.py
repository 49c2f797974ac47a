"""Derive the exact closed form of a cost from a function that returns the cost at any sizes.

    variables, pieces = derive(cost, (Variable("batch", range(1, 9), 1), Variable("sequence", range(1, 1025), 1024)))

All arithmetic is exact: costs are integers and coefficients are rational numbers. Nothing is fitted approximately. A
form is returned only if it also holds at points that were not used to find it.
"""

from profiler.derive.closed_form import ClosedForm, Piece, Term
from profiler.derive.derivation import Derivation, derive
from profiler.derive.samples import Origin
from profiler.derive.variables import CeilStep, Point, Variable

__all__ = ["CeilStep", "ClosedForm", "Derivation", "Origin", "Piece", "Point", "Term", "Variable", "derive"]
