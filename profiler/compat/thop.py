"""Replacements for ``thop.profile``, which returns MACs and parameters as floats, and ``thop.clever_format``."""

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
    report_missing: bool = False,  # noqa: ARG001 - every class is counted
) -> tuple[float, float] | tuple[float, float, dict[str, Any]]:
    """Count the MACs and parameters of one forward pass in eval mode; the model's mode is restored.

    Args:
        model: The model.
        inputs: Its positional arguments.
        custom_ops: Not supported; must be empty.
        verbose: Ignored.
        ret_layer_info: Also return the children: name → (MACs, parameters, their children).
        report_missing: Ignored.

    Raises:
        InputError: *custom_ops* is not empty.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> profile(torch.nn.Linear(20, 30, device="meta"), (torch.empty(4, 20, device="meta"),))
        (2400.0, 630.0)
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
    """Return numbers as text with a decimal prefix: one number as a string, several as a tuple.

    Example:
        >>> clever_format([1_814_073_344, 11_689_512], "%.3f")
        ('1.814G', '11.690M')
    """
    values = nums if isinstance(nums, Iterable) else [nums]
    texts = tuple(_with_prefix(value, format) for value in values)
    return texts[0] if len(texts) == 1 else texts


def _with_prefix(value: float, form: str) -> str:
    for size, prefix in _PREFIXES:
        if value > size:
            return form % (value / size) + prefix
    return form % value + "B"


def _layers(node: Node) -> dict[str, Any]:
    """Return the children of a node as thop nests them: name → (MACs, parameters, their children)."""
    return {
        child.name: (float(child.total.macs), float(child.total.params), _layers(child))
        for child in node.children
        if child.module.type
    }
