"""What an operator costs: one file a family, one function an operator or a class of operators.

To add a formula, write a function in its family's file::

    @formula("aten::bmm")
    def bmm(self: Shape, mat2: Shape) -> Cost:
        ...

Its parameters are names from the operator's schema, and only those on which the cost depends. One annotated ``Shape``
is given the shape, one annotated ``TensorSpec`` all that was observed; lists of tensors come as tuples of specs.
``out`` is the first result. The names are checked against the schema on registration.
"""

from profiler.formulas.lookup import Rule, rule_for
from profiler.formulas.registry import formula

__all__ = ["Rule", "formula", "rule_for"]
