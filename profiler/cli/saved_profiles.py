"""Saved profiles among the names of models."""

from __future__ import annotations


def is_saved(name: str) -> bool:
    """Return whether *name* is a saved profile; a model configuration, which is JSON too, has the prefix ``hf:``.

    Example:
        >>> is_saved("before.json"), is_saved("hf:config.json"), is_saved("resnet18")
        (True, False, False)
    """
    return name.endswith(".json") and ":" not in name
