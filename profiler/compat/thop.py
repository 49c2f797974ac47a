"""``thop.profile``, in MACs and parameters as floats; and ``clever_format``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from profiler.compat.unsupported import reject_unsupported
from profiler.run.forward import count

if TYPE_CHECKING:
    from torch import nn

    from profiler.tally import Node

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


def profile(
    model: nn.Module,
    inputs: Any,
    custom_ops: Any = None,
    verbose: bool = True,  # noqa: ARG001 - nothing is printed here
    ret_layer_info: bool = False,
    report_missing: bool = False,  # noqa: ARG001 - no class is missing
) -> tuple[float, float] | tuple[float, float, dict[str, Any]]:
    """Count one forward pass in eval mode: MACs and parameters, and with *ret_layer_info* those of each child.

    Raises:
        InputError: There are rules in *custom_ops*.
        ModelError: The model raised.
    """
    reject_unsupported("custom_ops", custom_ops)
    training = model.training
    model.eval()
    try:
        tree = count(model, *inputs).tree
    finally:
        model.train(training)
    totals = float(tree.total.macs), float(tree.total.params)
    return (*totals, _layers(tree)) if ret_layer_info else totals


def clever_format(nums: Any, format: str = "%.2f") -> str | tuple[str, ...]:
    """Write numbers in short, a single one as text and several as a tuple.

    Example:
        >>> clever_format([1_814_073_344, 11_689_512], "%.3f")
        ('1.814G', '11.690M')
    """
    values = nums if isinstance(nums, Iterable) else [nums]
    texts = tuple(_short(value, format) for value in values)
    return texts[0] if len(texts) == 1 else texts


def _short(value: float, form: str) -> str:
    for size, prefix in _PREFIXES:
        if value > size:
            return form % (value / size) + prefix
    return form % value + "B"


def _layers(node: Node) -> dict[str, Any]:
    """Give the children as thop nests them: MACs, parameters, and their children."""
    return {
        child.name: (float(child.total.macs), float(child.total.params), _layers(child))
        for child in node.children
        if child.module.type
    }
