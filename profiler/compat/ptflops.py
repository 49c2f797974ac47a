"""``ptflops.get_model_complexity_info``, in MACs of one sample and parameters, as numbers or text."""

from __future__ import annotations

import sys
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TextIO

import torch

from profiler.compat.unsupported import reject_unsupported
from profiler.run.forward import count
from profiler.values.findings import as_number, is_under

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from profiler.tally import Profile
    from profiler.values.findings import Number


class FLOPS_BACKEND(Enum):  # noqa: N801 - the original's name
    """The original's two ways to count; both give the same here, but one is for a sample and one for the batch."""

    PYTORCH = "pytorch"
    ATEN = "aten"


def get_model_complexity_info(
    model: nn.Module,
    input_res: tuple[int, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[int, ...]], Any] | None = None,
    ost: TextIO = sys.stdout,
    verbose: bool = False,  # noqa: ARG001 - there is nothing to warn of
    ignore_modules: list[Any] = [],  # noqa: B006 - the original's default
    custom_modules_hooks: dict[Any, Any] = {},  # noqa: B006
    backend: str | FLOPS_BACKEND = FLOPS_BACKEND.PYTORCH,
    flops_units: str | None = None,
    param_units: str | None = None,
    output_precision: int = 2,
    backend_specific_config: dict[str, Any] = {},  # noqa: ARG001, B006
) -> tuple[Number, int] | tuple[str, str]:
    """Count one forward pass in eval mode, on an input of shape ``(1, *input_res)`` or what the constructor gives.

    With the backend "pytorch" the MACs are those of one sample of the batch, with "aten" those of all.

    Raises:
        InputError: There are rules in *custom_modules_hooks*.
        ModelError: The model raised.
    """
    reject_unsupported("custom_modules_hooks", custom_modules_hooks)
    args, kwargs = _inputs(model, input_res, input_constructor)
    profile = _count(model, args, kwargs)
    batch = len(args[0]) if args and FLOPS_BACKEND(backend) is FLOPS_BACKEND.PYTORCH else 1
    macs = as_number(Fraction(_macs_without(profile, model, tuple(ignore_modules)), batch))
    if print_per_layer_stat:
        ost.write(str(profile))
    if not as_strings:
        return macs, profile.totals.params
    from ptflops.utils import flops_to_string, params_to_string  # noqa: PLC0415 - the original's own texts

    text = flops_to_string(macs, units=flops_units, precision=output_precision)
    return text, params_to_string(profile.totals.params, units=param_units, precision=output_precision)


def _inputs(
    model: nn.Module, size: tuple[int, ...], constructor: Callable[[tuple[int, ...]], Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make the input: a tensor of the first parameter's dtype and device, or what the user's function gives."""
    if constructor is not None:
        made = constructor(size)
        return ((), made) if isinstance(made, dict) else ((made,), {})
    like = next(model.parameters(), torch.empty(0))
    return (torch.zeros((1, *size), dtype=like.dtype, device=like.device),), {}


def _count(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    """Count in eval mode; unlike the original, put the mode back."""
    training = model.training
    model.eval()
    try:
        return count(model, *args, **kwargs)
    finally:
        model.train(training)


def _macs_without(profile: Profile, model: nn.Module, ignored: tuple[Any, ...]) -> int:
    """Sum the MACs outside of ignored modules, which are named by their classes."""
    tops = [path for path, module in model.named_modules() if type(module) in ignored]
    entries = (e for e in profile.entries if not any(is_under(e.record.module, top) for top in tops))
    return sum(entry.record.calls * entry.macs for entry in entries)
