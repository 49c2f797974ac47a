"""The oracle of ones, and the profiler's counts of one call.

If all operands of a contraction are ones, every product is 1, so that the sum of the result is the number of products.
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
    """Return the number of products: run on operands of ones and sum the result."""
    result = run(*map(_ones, operands)).detach()
    return int((result.to_dense() if result.is_sparse else result).double().sum())


def profile_call(run: Callable[..., Any], *operands: Any) -> Profile:
    """Profile a call, with autograd enabled only if an operand requires a gradient."""
    requires_grad = any(isinstance(o, torch.Tensor) and o.requires_grad for o in operands)
    with torch.set_grad_enabled(requires_grad), profiler.profile() as p:
        run(*operands)
    assert p.is_complete, p.uncounted
    return p.result


def totals(run: Callable[..., Any], *operands: Any) -> Totals:
    """Return the total cost of a call."""
    return profile_call(run, *operands).totals


def arithmetic(cost: Totals) -> tuple[int, int, int]:
    """Return the MACs, other FLOPs and transcendentals, without the bytes, which depend on fusion."""
    return cost.macs, cost.other_flops, cost.transcendentals


def fill_with_ones(module: nn.Module) -> nn.Module:
    """Return *module* in float64 and evaluation mode, with weights of one and biases of zero."""
    module = module.double().eval()
    for name, parameter in module.named_parameters():
        nn.init.constant_(parameter, 0 if "bias" in name else 1)
    return module


def ones(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return a tensor of ones."""
    return torch.ones(shape, dtype=dtype)


def _ones(operand: Any) -> Any:
    if not isinstance(operand, torch.Tensor) or operand.layout is not torch.strided:
        return operand
    return torch.ones_like(operand)
