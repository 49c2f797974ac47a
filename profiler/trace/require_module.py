"""Refuse what is no ``nn.Module`` where a model is expected, and say what to pass instead."""

from __future__ import annotations

from typing import Any

from torch import nn

from profiler.errors import InputError
from profiler.escaping import quoted

_NAMED = 3


def require_module(model: Any) -> None:
    """Raise unless *model* is an ``nn.Module``.

    Raises:
        InputError: It is not; the message names its modules, if it has any as attributes.
    """
    if not isinstance(model, nn.Module):
        msg = f"{_describe(model)} is no nn.Module; {_advice(model)}"
        raise InputError(msg)


def _describe(model: Any) -> str:
    if isinstance(model, str):
        return f"the text {quoted(model)}"
    if isinstance(model, type):
        return f"the class {model.__name__}"
    name = getattr(model, "__name__", None)
    return f"the function {name}" if isinstance(name, str) else f"a {type(model).__name__}"


def _advice(model: Any) -> str:
    if isinstance(model, str):
        return "build the model and pass it, or give its name to the command line"
    if isinstance(model, type) and issubclass(model, nn.Module):
        return f"pass an instance, {model.__name__}(...)"
    modules = [name for name, value in _attributes(model).items() if isinstance(value, nn.Module)]
    if modules:
        parts = ", ".join(f"its `{name}`" for name in modules[:_NAMED])
        return f"pass {parts}, an nn.ModuleDict of its parts, or call it in `with profiler.profile() as p:`"
    return "call it in `with profiler.profile() as p:`, which counts what runs in the block"


def _attributes(model: Any) -> dict[str, Any]:
    own = getattr(model, "__dict__", {})
    parts = getattr(model, "components", None)  # of a pipeline of diffusers
    return {**own, **parts} if isinstance(parts, dict) else dict(own)
