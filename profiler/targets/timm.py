"""Models of timm: ``timm:NAME``, with or without the tag of its weights, at the size that those were trained for."""

from __future__ import annotations

from functools import partial

from profiler.errors import UnknownNameError
from profiler.targets.packages import load
from profiler.targets.sources import Source, register
from profiler.targets.target import Argument, Target, TensorInput


def resolve(name: str) -> Target:
    """Describe a timm model.

    Raises:
        UnknownNameError: timm has no such model, or the model no such weights.
    """
    timm = load("timm")
    architecture, _, tag = name.partition(".")
    known = timm.list_models(f"{architecture}.*", pretrained=True) if tag else timm.list_models()
    if name not in known:
        kind = "timm model"
        raise UnknownNameError(kind, name, known or timm.list_models())
    size = timm.get_pretrained_cfg(name, allow_unregistered=True).input_size
    construct = partial(timm.create_model, name, pretrained=False)
    return Target(name, construct, (Argument(TensorInput((1, *size))),))


def names() -> list[str]:
    """List timm's models."""
    return [f"timm:{name}" for name in load("timm").list_models()]


register(Source(resolve, "timm", names))
