"""Formulas: what one call of an operator costs. One file per operator family, one function per group of operators.

To add a formula, write a function in its family's file::

    @formula("aten::bmm")
    def bmm(self: Shape, mat2: Shape) -> Cost:
        ...

Its parameters are names of arguments in the operator's schema, and only those on which the cost depends. A parameter
annotated ``Shape`` receives the shape of a tensor, one annotated ``TensorSpec`` everything that was recorded of it. A
list of tensors arrives as a tuple of specs, and ``out`` is the first result. Registration checks the names against the
schema.
"""

from profiler.formulas.lookup import Rule, rule_for
from profiler.formulas.registry import formula
from profiler.formulas.rule_kind import RuleKind

__all__ = ["Rule", "RuleKind", "formula", "rule_for"]
