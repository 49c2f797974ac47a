"""Adam with states of 8 bits, as bitsandbytes has it: what it keeps and allocates, on ``meta``.

Each of the two states has a byte an element, and a float32 scale for each block of 256; a parameter of fewer than 4,096
elements keeps float32 states. The step is one kernel that allocates nothing.

Source: T. Dettmers et al., 8-bit Optimizers via Block-wise Quantization (arXiv:2110.02861), sections 2 and 3;
``Optimizer2State`` in bitsandbytes/optim/optimizer.py, version 0.45.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BLOCK, _SMALL = 256, 4096
_STATES = ("exp_avg", "exp_avg_sq")


@torch.library.custom_op("profiler::adam_8bit", mutates_args=("parameter", "states"))
def adam_8bit(parameter: torch.Tensor, gradient: torch.Tensor, states: list[torch.Tensor]) -> None:
    """Stand for the kernel, which this package has for ``meta`` alone."""
    raise NotImplementedError


@adam_8bit.register_fake
def _(parameter: torch.Tensor, gradient: torch.Tensor, states: list[torch.Tensor]) -> None:
    """Allocate nothing."""


class EightBitAdam(torch.optim.Optimizer):
    """Adam whose states take a byte each; it runs on ``meta``."""

    def __init__(self, params: Iterable[torch.Tensor]) -> None:
        """Optimize *params*."""
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - as in torch
        """Make the states of parameters that have none, and run the kernel on each."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    if not state:
                        state.update(_new_states(parameter))
                    adam_8bit(parameter, parameter.grad, list(state.values()))


def _new_states(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    if parameter.numel() < _SMALL:
        return {name: torch.zeros_like(parameter, dtype=torch.float32) for name in _STATES}
    states = {name: torch.zeros_like(parameter, dtype=torch.uint8) for name in _STATES}
    blocks = -(-parameter.numel() // _BLOCK)
    return states | {f"{name}_scale": torch.zeros(blocks, device=parameter.device) for name in _STATES}
