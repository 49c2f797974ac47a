"""Replacements for ``fvcore.nn``: ``FlopCountAnalysis``, ``ActivationCountAnalysis``, tables, and parameter counts.

A "flop" of fvcore is one multiply-add. Names and results are fvcore's; the numbers are this package's, and differ by
convention where fvcore adds other operations or leaves some out:

- Norms, pools and resampling count 0: they are no multiply-adds.
- Attention, recurrent layers, ``padding="same"``, custom autograd functions and every other contraction are counted,
  also if the model's output does not depend on them.
- ``unsupported_ops`` lists the operators that no formula here covers, not those that have no handler in fvcore.
- ``ActivationCountAnalysis`` counts the result of every operator that has multiply-adds.
- A handle ``None`` leaves an operator out, as in fvcore; other handles, which read a ``torch.jit`` graph, are refused.
- The model runs without a tracer, and its buffers and the random state are restored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from profiler.compat.fvcore_analysis import Analysis
from profiler.util.lazy_imports import LazyModule

if TYPE_CHECKING:
    from fvcore import nn as fvcore_nn
    from torch import nn

    from profiler.compat.operator_calls import NamedCall
else:
    fvcore_nn = LazyModule("fvcore.nn")  # takes more than a second to import

__all__ = [
    "ActivationCountAnalysis",
    "FlopCountAnalysis",
    "activation_count",
    "flop_count",
    "flop_count_str",
    "flop_count_table",
    "parameter_count",
    "parameter_count_table",
]


class FlopCountAnalysis(Analysis):
    """Counts the MACs of one forward pass by module and operator.

    The model runs on the first access of a result, in its present mode.

    Args:
        model: The model.
        inputs: Its positional arguments: a tuple, or a single tensor.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> FlopCountAnalysis(model, torch.empty(4, 20, device="meta")).by_operator()
        Counter({'linear': 2400})
    """

    def count_of(self, call: NamedCall) -> int:
        """Return the MACs of one call."""
        return call.macs


class ActivationCountAnalysis(Analysis):
    """Counts the elements that operators with multiply-adds return in one forward pass, by module and operator.

    Args:
        model: The model.
        inputs: Its positional arguments: a tuple, or a single tensor.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> ActivationCountAnalysis(model, torch.empty(4, 20, device="meta")).total()
        120
    """

    def count_of(self, call: NamedCall) -> int:
        """Return the elements that one call returns, if it has MACs."""
        return call.result_elements if call.macs else 0


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Any] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Return the GMACs of one forward pass by operator, and the operators that no formula covers.

    Args:
        model: The model.
        inputs: Its positional arguments.
        supported_ops: Operators to leave out, each with the handle None; other handles are not supported.

    Raises:
        InputError: A handle is a function.
        ModelError: The model raised; the original error is the ``__cause__``.
    """
    return _scaled(FlopCountAnalysis(model, inputs), supported_ops, 1e9)


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: dict[str, Any] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Return the millions of activations of one forward pass by operator, and the operators that no formula covers.

    The arguments and errors are those of `flop_count`.
    """
    return _scaled(ActivationCountAnalysis(model, inputs), supported_ops, 1e6)


def _scaled(
    analysis: Analysis, handles: dict[str, Any] | None, unit: float
) -> tuple[defaultdict[str, float], Counter[str]]:
    counts = analysis.set_op_handle(**(handles or {})).by_operator()
    return defaultdict(float, {name: n / unit for name, n in counts.items()}), analysis.unsupported_ops()


def flop_count_table(
    flops: FlopCountAnalysis,
    max_depth: int = 3,
    activations: ActivationCountAnalysis | None = None,
    show_param_shapes: bool = True,
) -> str:
    """Return fvcore's table of parameters and MACs by module, and of activations if given."""
    return str(fvcore_nn.flop_count_table(flops, max_depth, activations, show_param_shapes))


def flop_count_str(flops: FlopCountAnalysis, activations: ActivationCountAnalysis | None = None) -> str:
    """Return the representation of the model with fvcore's annotations: parameters, MACs, and activations if given."""
    return str(fvcore_nn.flop_count_str(flops, activations))


def parameter_count(model: nn.Module) -> defaultdict[str, int]:
    """Return the elements of every parameter, and of the parameters of every module, by name; "" is the model."""
    counts: defaultdict[str, int] = fvcore_nn.parameter_count(model)
    return counts


def parameter_count_table(model: nn.Module, max_depth: int = 3) -> str:
    """Return fvcore's table of parameters by module."""
    return str(fvcore_nn.parameter_count_table(model, max_depth))
