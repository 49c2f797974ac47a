"""A replacement for ``ptflops.get_model_complexity_info``: MACs of one sample and parameters, as numbers or text."""

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
    """The original's two counters; here they differ only in whether MACs are per sample or per batch."""

    PYTORCH = "pytorch"
    ATEN = "aten"


def get_model_complexity_info(
    model: nn.Module,
    input_res: tuple[int, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[int, ...]], Any] | None = None,
    ost: TextIO = sys.stdout,
    verbose: bool = False,  # noqa: ARG001 - there are no warnings to show
    ignore_modules: list[Any] = [],  # noqa: B006 - the original's default
    custom_modules_hooks: dict[Any, Any] = {},  # noqa: B006 - the original's default
    backend: str | FLOPS_BACKEND = FLOPS_BACKEND.PYTORCH,
    flops_units: str | None = None,
    param_units: str | None = None,
    output_precision: int = 2,
    backend_specific_config: dict[str, Any] = {},  # noqa: ARG001, B006 - the original's argument
) -> tuple[Number, int] | tuple[str, str]:
    """Count the MACs and parameters of one forward pass in eval mode; the model's mode is restored.

    Args:
        model: The model.
        input_res: Shape of one sample; the input is zeros of shape ``(1, *input_res)``.
        print_per_layer_stat: Write the report to *ost*.
        as_strings: Return text, formatted by ptflops.
        input_constructor: Called with *input_res*; returns the input, or a dict of keyword arguments.
        ost: Where the report is written.
        verbose: Ignored.
        ignore_modules: Classes of modules whose work is not counted.
        custom_modules_hooks: Not supported; must be empty.
        backend: "pytorch" returns the MACs of one sample, "aten" those of the batch.
        flops_units: Unit of the MACs as text, such as "GMac".
        param_units: Unit of the parameters as text, such as "M".
        output_precision: Decimals of the text.
        backend_specific_config: Ignored.

    Returns:
        The MACs and the parameters.

    Raises:
        InputError: *custom_modules_hooks* is not empty.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> get_model_complexity_info(model, (20,), print_per_layer_stat=False, as_strings=False)
        (600, 630)
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
    from ptflops.utils import flops_to_string, params_to_string  # noqa: PLC0415 - only text needs the package

    text = flops_to_string(macs, units=flops_units, precision=output_precision)
    return text, params_to_string(profile.totals.params, units=param_units, precision=output_precision)


def _inputs(
    model: nn.Module, size: tuple[int, ...], constructor: Callable[[tuple[int, ...]], Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments: zeros like the first parameter, or what the user's function returns."""
    if constructor is not None:
        inputs = constructor(size)
        return ((), inputs) if isinstance(inputs, dict) else ((inputs,), {})
    like = next(model.parameters(), torch.empty(0))
    return (torch.zeros((1, *size), dtype=like.dtype, device=like.device),), {}


def _count(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
    """Count in eval mode; restore the mode, which the original does not."""
    training = model.training
    model.eval()
    try:
        return count(model, *args, **kwargs)
    finally:
        model.train(training)


def _macs_without(profile: Profile, model: nn.Module, ignored_classes: tuple[Any, ...]) -> int:
    """Return the MACs outside of modules of the ignored classes and their descendants."""
    ignored = [path for path, module in model.named_modules() if type(module) in ignored_classes]
    entries = (e for e in profile.entries if not any(is_under(e.record.module, path) for path in ignored))
    return sum(entry.record.calls * entry.macs for entry in entries)
