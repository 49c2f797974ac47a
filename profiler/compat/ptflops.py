"""Replacements for ``ptflops``: ``get_model_complexity_info`` and the functions that format its numbers.

Every multiply-add is counted, and nothing else: ptflops adds bias additions, norms, pools and activations, and leaves
out functions that it does not patch. Parameters are all of the model's, frozen ones too. A model that raises is a
``ModelError`` here, where ptflops prints the error and returns ``(None, None)``.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

import torch
from torch._ops import OpOverloadPacket

from profiler.compat.unsupported import check_option, reject_unsupported
from profiler.errors import InputError
from profiler.run.forward import count
from profiler.trace.module_paths import walk
from profiler.trace.preserve_state import eval_mode
from profiler.util.encoder_fast_path import no_fast_path
from profiler.util.interrupts import interruptible, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from profiler.tally import Profile
    from profiler.tally.entry import Entry

__all__ = ["FLOPS_BACKEND", "flops_to_string", "get_model_complexity_info", "params_to_string"]


class FLOPS_BACKEND(Enum):  # noqa: N801 - the original's name
    """The original's two counters. Here they differ in what is ignored, and in whether MACs are per sample or batch."""

    PYTORCH = "pytorch"
    ATEN = "aten"


def get_model_complexity_info(
    model: nn.Module,
    input_res: tuple[int, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[int, ...]], Any] | None = None,
    ost: TextIO = sys.stdout,
    verbose: bool = False,
    ignore_modules: list[Any] = [],  # noqa: B006 - the original's default
    custom_modules_hooks: dict[Any, Any] = {},  # noqa: B006 - the original's default
    backend: str | FLOPS_BACKEND = FLOPS_BACKEND.PYTORCH,
    flops_units: str | None = None,
    param_units: str | None = None,
    output_precision: int = 2,
    backend_specific_config: dict[str, Any] = {},  # noqa: B006 - the original's default
) -> tuple[int, int] | tuple[str, str]:
    """Count the MACs and parameters of one forward pass in eval mode; the mode of each module is restored.

    Args:
        model: The model.
        input_res: Shape of one sample; the input is zeros of shape ``(1, *input_res)``.
        print_per_layer_stat: Write the report of this package to *ost*.
        as_strings: Return text, formatted by ptflops.
        input_constructor: Called with *input_res*; returns the input, or a dict of keyword arguments.
        ost: Where the report and the warnings are written.
        verbose: Write the operators that no formula covers to *ost*.
        ignore_modules: What is not counted. With the backend "pytorch", classes: the work of a module of exactly this
            class, without that of its children. With "aten", operators such as ``torch.ops.aten.mm``.
        custom_modules_hooks: Not supported; must be empty.
        backend: "pytorch" returns the MACs of one sample, "aten" those of the batch.
        flops_units: Unit of the MACs as text: "GMac", "MMac" or "KMac".
        param_units: Unit of the parameters as text: "M", "K" or "B".
        output_precision: Decimals of the text.
        backend_specific_config: Must be empty, or ``{"count_functional": True}``: functions are always counted.

    Returns:
        The MACs and the parameters.

    Raises:
        InputError: An argument is not supported or does not fit the backend.
        ModelError: The model raised; the original error is the ``__cause__``.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> get_model_complexity_info(model, (20,), print_per_layer_stat=False, as_strings=False)
        (600, 630)
    """
    reject_unsupported("custom_modules_hooks", custom_modules_hooks)
    name = _backend(backend)
    _check_config(backend_specific_config)
    is_ignored = _ignored(model, ignore_modules, name)
    args, kwargs = _inputs(model, input_res, input_constructor)
    by_module = no_fast_path() if ignore_modules else nullcontext()  # so that each can be ignored
    with uninterrupted(), eval_mode(model), by_module, interruptible():
        profile = count(model, *args, **kwargs)
    _write(profile, ost, report=print_per_layer_stat, warnings=verbose)
    batch = _batch_size(args[0]) if args and name == "pytorch" else 1
    macs = sum(entry.record.calls * entry.macs for entry in profile.entries if not is_ignored(entry)) // batch
    if not as_strings:
        return macs, profile.totals.params
    text = flops_to_string(macs, flops_units, output_precision)
    return text, params_to_string(profile.totals.params, param_units, output_precision)


def flops_to_string(flops: int, units: str | None = None, precision: int = 2) -> str:
    """Return MACs as ptflops prints them, such as "1.82 GMac"."""
    from ptflops import utils  # noqa: PLC0415 - only text needs the package

    return str(utils.flops_to_string(flops, units, precision))


def params_to_string(params_num: int, units: str | None = None, precision: int = 2) -> str:
    """Return a number of parameters as ptflops prints it, such as "11.69 M"."""
    from ptflops import utils  # noqa: PLC0415 - only text needs the package

    return str(utils.params_to_string(params_num, units, precision))


def _backend(backend: object) -> str:
    """Return the name of a backend, which may also be a member of ptflops' own enum."""
    name = backend.value if isinstance(backend, Enum) else backend
    check_option("backend", name, [member.value for member in FLOPS_BACKEND])
    return str(name)


def _check_config(config: dict[str, Any]) -> None:
    unfit = {name: value for name, value in config.items() if (name, value) != ("count_functional", True)}
    if unfit:
        msg = f"backend_specific_config={unfit} is not supported: functions are always counted; leave it out"
        raise InputError(msg)


def _ignored(model: nn.Module, ignore: list[Any], backend: str) -> Callable[[Entry], bool]:
    """Return whether an entry is ignored: by the class of its module, or by its operator."""
    fits = OpOverloadPacket if backend == "aten" else type
    unfit = [item for item in ignore if not isinstance(item, fits)]
    if unfit:
        wanted = "operators such as torch.ops.aten.mm" if backend == "aten" else "classes of modules"
        msg = f"ignore_modules of the backend {backend!r} are {wanted}, not {unfit[0]!r}"
        raise InputError(msg)
    if backend == "aten":
        operators = {str(packet) for packet in ignore}
        return lambda entry: entry.record.packet in operators
    paths = {path for path, module in walk(model) if type(module) in ignore}
    return lambda entry: entry.record.module in paths


def _inputs(
    model: nn.Module, size: tuple[int, ...], constructor: Callable[[tuple[int, ...]], Any] | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments: zeros like the first parameter, or what the user's function returns."""
    if not isinstance(size, tuple) or not size:
        msg = f"input_res must be a tuple with the shape of one sample, such as (3, 224, 224), not {size!r}"
        raise InputError(msg)
    if constructor is not None:
        inputs = constructor(size)
        return ((), inputs) if isinstance(inputs, dict) else ((inputs,), {})
    like = next(model.parameters(), torch.empty(0))
    return (torch.zeros((1, *size), dtype=like.dtype, device=like.device),), {}


def _batch_size(first: Any) -> int:
    """Return the length of the first input, over which ptflops averages."""
    dimensions: int = getattr(first, "ndim", 1)
    size = len(first) if dimensions and hasattr(first, "__len__") else 0
    if not size:
        msg = "the first input has no samples to average over; give one with a batch dimension, or backend='aten'"
        raise InputError(msg)
    return size


def _write(profile: Profile, ost: TextIO, *, report: bool, warnings: bool) -> None:
    if warnings:
        ost.writelines(f"Warning: {row.operator} operation is treated as a zero-op\n" for row in profile.uncounted)
    if report:
        ost.write(str(profile))
