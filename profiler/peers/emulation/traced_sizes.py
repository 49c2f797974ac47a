"""Arithmetic on the sizes of tensors, which a ``torch.jit`` trace shows as operators on tensors of one element.

While torch traces, ``x.shape[0]`` is such a tensor, and ``h * w`` an ``aten::mul``. In a run they are integers of
Python, and no operator runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Makes a tensor of a size.
_SIZE = "prim::numtotensor"
_CONSTANT = "prim::constant"
#: What Python computes with integers.
_ARITHMETIC = frozenset(
    f"aten::{name}" for name in ("add", "div", "floor", "floor_divide", "mul", "neg", "pow", "remainder", "rsub", "sub")
)


def size_products(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield the products of sizes among the nodes of a trace.

    Args:
        nodes: In the order of the trace: each has an ``operator`` in lower case, and ``inputs`` and ``outputs``, in
            which a value is always the same object.
    """
    sizes: set[Any] = set()
    constants: set[Any] = set()
    for node in nodes:
        inputs = set(node.inputs)
        if node.operator == _CONSTANT:
            constants.update(node.outputs)
        elif node.operator == _SIZE or (
            node.operator in _ARITHMETIC and inputs & sizes and inputs <= sizes | constants
        ):
            sizes.update(node.outputs)
            if node.operator == "aten::mul":
                yield node
