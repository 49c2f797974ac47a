"""Call the entry point of ptflops as its users do, for both of its backends."""

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


def run_ptflops(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], backend: str) -> tuple[Number, Number]:
    """Return the MACs and parameters that ``get_model_complexity_info`` returns, with gradients enabled.

    ptflops passes either one positional argument or keyword arguments, so other arguments are bound by name.

    Raises:
        ModelError: ptflops returned None; the message is the error that it printed.
    """
    from ptflops import get_model_complexity_info  # noqa: PLC0415 - the peer itself

    batch: Any = signature(model.forward).bind_partial(*args).arguments | kwargs
    if len(args) == 1:
        batch = args[0]
        model.forward = partial(model.forward, **kwargs) if kwargs else model.forward
    stdout = io.StringIO()
    with redirect_stdout(stdout):
        total, params = get_model_complexity_info(
            model, (1,), False, False, input_constructor=lambda _: batch, backend=backend
        )
    if total is None:
        errors = [line for line in stdout.getvalue().splitlines() if line.startswith("<class")]
        raise ModelError(errors[-1] if errors else "ptflops returned None")
    return total, params
