"""Models of timm: ``timm:NAME``, with or without the tag of pretrained weights, at the size they were trained for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from profiler.errors import UnknownNameError
from profiler.targets.configurable import ConfigurableTarget
from profiler.targets.optional_imports import load
from profiler.targets.registry import Source, register
from profiler.targets.target import Argument, Target, TensorInput

if TYPE_CHECKING:
    from collections.abc import Mapping


def resolve(name: str) -> Target:
    """Return a timm model.

    Raises:
        UnknownNameError: timm has no such model, or no such weights of it.
    """
    timm = load("timm")
    architecture, _, tag = name.partition(".")
    valid_names = timm.list_models(f"{architecture}.*", pretrained=True) if tag else timm.list_models()
    if name not in valid_names:
        kind = "timm model"
        raise UnknownNameError(kind, name, valid_names or timm.list_models())
    size = timm.get_pretrained_cfg(name, allow_unregistered=True).input_size
    construct = partial(timm.create_model, name, pretrained=False)
    return Target(name, construct, (Argument(TensorInput((1, *size))),))


def configure(name: str) -> ConfigurableTarget:
    """Return a model with its image size as a setting, if its family can be built for any size."""
    target, timm = resolve(name), load("timm")
    size = timm.get_pretrained_cfg(name, allow_unregistered=True).input_size[-1]

    def make(settings: Mapping[str, int]) -> Target:
        return replace(target, construct=partial(timm.create_model, name, pretrained=False, **settings))

    takes_size = any(family in name for family in ("vit", "swin", "deit", "mixer"))
    return ConfigurableTarget(name, make, {"img_size": size} if takes_size else {})


def names() -> list[str]:
    """List timm's models."""
    return [f"timm:{name}" for name in load("timm").list_models()]


register(Source(resolve, "timm", names, configure=configure))
