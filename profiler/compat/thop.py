"""Replacements for ``thop``: ``profile`` and ``profile_origin`` (MACs and parameters as floats) and ``clever_format``.

Every operator is counted, not only those of layers that thop has a rule for; norms, pools and activations count 0.
Parameters are those of the whole model, each once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from profiler.compat.unsupported import reject_unsupported
from profiler.run.forward import count
from profiler.tally.tree import iter_nodes
from profiler.trace.preserve_state import eval_mode
from profiler.util.interrupts import interruptible, uninterrupted

if TYPE_CHECKING:
    from torch import nn

    from profiler.tally import Node, Profile

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


def profile(
    model: nn.Module,
    inputs: Any,
    custom_ops: Any = None,
    verbose: bool = True,
    ret_layer_info: bool = False,
    report_missing: bool = False,
) -> tuple[float, float] | tuple[float, float, dict[str, Any]]:
    """Count the MACs and parameters of one forward pass in eval mode; the mode of each module is restored.

    Args:
        model: The model.
        inputs: Its positional arguments.
        custom_ops: Not supported; must be empty.
        verbose: Print the operators that no formula covers.
        ret_layer_info: Also return the children: name → (MACs, parameters, their children).
        report_missing: The same as *verbose*.

    Raises:
        InputError: *custom_ops* is not empty.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> profile(torch.nn.Linear(20, 30, device="meta"), (torch.empty(4, 20, device="meta"),))
        (2400.0, 630.0)
    """
    result = _count(model, inputs, custom_ops, verbose=verbose or report_missing)
    totals = float(result.totals.macs), float(result.totals.params)
    return (*totals, _layers(result.tree)) if ret_layer_info else totals


def profile_origin(
    model: nn.Module, inputs: Any, custom_ops: Any = None, verbose: bool = True, report_missing: bool = False
) -> tuple[float, float]:
    """Return what `profile` returns, without the children."""
    result = _count(model, inputs, custom_ops, verbose=verbose or report_missing)
    return float(result.totals.macs), float(result.totals.params)


def _count(model: nn.Module, inputs: Any, custom_ops: Any, *, verbose: bool) -> Profile:
    reject_unsupported("custom_ops", custom_ops)
    with uninterrupted(), eval_mode(model), interruptible():
        result = count(model, *inputs)
    if verbose:
        lines = (
            f"[WARN] Cannot find a formula for {row.operator}. Treat it as zero MACs.\n" for row in result.uncounted
        )
        sys.stdout.writelines(lines)
    return result


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
    layers: dict[str, dict[str, Any]] = {}
    for below in reversed(list(iter_nodes(node))):  # children before their parents
        layers[below.module.path] = {
            child.name: (float(child.total.macs), float(child.total.params), layers[child.module.path])
            for child in below.children
            if child.module.type
        }
    return layers[node.module.path]
