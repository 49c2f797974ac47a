"""The entry point of ptflops, called as its users do: with gradients enabled, and what it prints kept."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from profiler.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

    from profiler.values.findings import Number


def complexity(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], backend: str) -> tuple[Number, Number]:
    """Call its entry point, which passes one positional argument, or any number of keyword arguments.

    Raises:
        ModelError: It gave None; the words are those that it printed.
    """
    from ptflops import get_model_complexity_info  # noqa: PLC0415 - the peer itself

    batch: Any = signature(model.forward).bind_partial(*args).arguments | kwargs
    if len(args) == 1:
        batch = args[0]
        model.forward = partial(model.forward, **kwargs) if kwargs else model.forward
    said = io.StringIO()
    with redirect_stdout(said):
        total, params = get_model_complexity_info(
            model, (1,), False, False, input_constructor=lambda _: batch, backend=backend
        )
    if total is None:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("<class")]
        raise ModelError(lines[-1] if lines else "ptflops gave None")
    return total, params
