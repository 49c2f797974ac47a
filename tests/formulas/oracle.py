"""The oracle of ones, and what the profiler finds in a call.

An operator on operands of ones multiplies ones alone, so that the sum of its result is the number of its products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import profiler

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.tally import Profile, Totals


def products(run: Callable[..., torch.Tensor], *operands: Any) -> int:
    """Ask the oracle: run on ones, and add up the result."""
    result = run(*map(_ones, operands)).detach()
    return int((result.to_dense() if result.is_sparse else result).double().sum())


def seen(run: Callable[..., Any], *operands: Any) -> Profile:
    """Profile a call, with gradients where its operands ask for them."""
    wanted = any(isinstance(o, torch.Tensor) and o.requires_grad for o in operands)
    with torch.set_grad_enabled(wanted), profiler.profile() as p:
        run(*operands)
    assert p.is_complete, p.uncounted
    return p.result


def totals(run: Callable[..., Any], *operands: Any) -> Totals:
    """Give the work of a call."""
    return seen(run, *operands).totals


def arithmetic(found: Totals) -> tuple[int, int, int]:
    """Leave the bytes aside, which depend on what is fused."""
    return found.macs, found.other_flops, found.transcendentals


def filled_with_ones(module: nn.Module) -> nn.Module:
    """Set all weights of a module to one, in float64, and its biases to zero."""
    module = module.double().eval()
    for name, parameter in module.named_parameters():
        nn.init.constant_(parameter, 0 if "bias" in name else 1)
    return module


def ones(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Make a tensor of ones."""
    return torch.ones(shape, dtype=dtype)


def _ones(operand: Any) -> Any:
    if not isinstance(operand, torch.Tensor) or operand.layout is not torch.strided:
        return operand
    return torch.ones_like(operand)
