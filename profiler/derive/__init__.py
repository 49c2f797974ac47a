"""The exact closed form of a cost, from a function that measures it at any point.

    variables, pieces = derive(measure, (Variable("batch", range(1, 9), 1), Variable("sequence", range(1, 1025), 1024)))

Everything is exact: costs are integers, coefficients are rational numbers, and a form is given only if it holds at
points that were not used to find it. Nothing is fitted "about right".
"""

from profiler.derive.closed_form import ClosedForm, Piece, Term
from profiler.derive.derivation import Derivation, derive
from profiler.derive.samples import Origin
from profiler.derive.variables import CeilStep, Point, Variable

__all__ = ["CeilStep", "ClosedForm", "Derivation", "Origin", "Piece", "Point", "Term", "Variable", "derive"]
