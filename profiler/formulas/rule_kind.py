"""The kinds of rules that count operators."""

from __future__ import annotations

from enum import StrEnum


class RuleKind(StrEnum):
    """The kind of rule that counts an operator."""

    # The values are written to saved profiles, so they must not change.
    FORMULA = "formula"
    POINTWISE = "pointwise"
    DATA_MOVEMENT = "moves"
    FREE = "free"
    TORCH_REGISTRY = "foreign"
