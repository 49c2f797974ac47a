"""What counters with a table of formulas count for a product: they read shapes only, not dtypes or layouts.

So they treat every operand as real and dense.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.values.records import tensors

if TYPE_CHECKING:
    from profiler.tally import Entry

#: Real multiply-adds in a complex one.
_REAL_PRODUCTS = 4


def macs_of_shapes(entry: Entry) -> int:
    """Return the MACs of one call if all operands were real and dense."""
    if has_sparse_operand(entry):
        *_, left, right = (spec for _, value in entry.record.arguments for spec in tensors(value))
        return prod(left.shape) * right.shape[-1]
    return entry.macs // (_REAL_PRODUCTS if is_complex(entry) else 1)


def is_complex(entry: Entry) -> bool:
    """Return whether an operator computes in complex numbers."""
    return entry.dtype.startswith("complex")


def has_sparse_operand(entry: Entry) -> bool:
    """Return whether an operator has a sparse operand."""
    return any(spec.layout.startswith("sparse") for _, value in entry.record.arguments for spec in tensors(value))
