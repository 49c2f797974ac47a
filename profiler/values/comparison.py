"""A model of a table that compares several."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What a forward pass of a model costs; only its name and the error, if it could not be counted."""

    name: str
    error: str = ""
    params: int | None = None
    macs: int | None = None
    flops: int | None = None
    #: Whether every operator is counted or free; otherwise MACs and FLOPs are lower bounds.
    is_complete: bool = True
    param_bytes: int | None = None
    peak_bytes: int | None = None
    #: Published accuracy in percent, where the weights' metadata has one.
    accuracy: float | None = None
    #: Of each other counter: its name, its unit, and the number that it reports; None if it failed.
    peers: tuple[tuple[str, str, int | float | None], ...] = ()
    #: Of each device: its id, and the estimated seconds of a pass; None if it lacks the precision.
    seconds: tuple[tuple[str, float | None], ...] = ()
