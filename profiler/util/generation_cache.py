"""The name of a language model's key-value cache in the installed version of transformers."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def cache_name(model: nn.Module) -> str:
    """Return the name of the argument and output field in which *model* takes and returns its cache.

    It is ``cache`` from transformers 5.24 on, where the older ``past_key_values`` logs a warning.
    """
    return "cache" if "cache" in signature(model.forward).parameters else "past_key_values"
