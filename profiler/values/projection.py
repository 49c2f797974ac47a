"""What a projection says: figures that carry what kind they are and where they come from.

Inert, like a record: a ``Profile`` can hold a projection, save it and read it back without the room that computed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

#: No device can beat a bound (of the counted work, at the stated peaks); an estimate rests on stated efficiencies; the
#: rest was measured.
FigureKind = Literal["bound", "estimate", "measured"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; its unit is in the name that it is held under."""

    value: int | float | str
    kind: FigureKind
    #: Where it comes from: the rule that gives it, and the source of what went into it.
    source: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The same pass with its numbers stored in another precision."""

    #: ``int8`` stores weights and activations so; ``int8-weights`` weights alone.
    precision: str
    #: What the device really computes in.
    computes_in: str
    weight_bytes: Figure
    bound_s: Figure
    estimate_s: Figure


@dataclass(frozen=True, slots=True)
class OperatorBound:
    """An operator against the roofline: all its calls together."""

    operator: str
    dtype: str
    calls: int
    #: Operations (two a MAC) and bytes of operands and results, in the projected precision.
    ops: int
    bytes: int
    #: Of all its calls, each held against its own larger side.
    bound_s: float
    estimate_s: float
    #: Operations per byte at which compute and memory take the same time; None where the device has no such rate.
    ridge_ops_per_byte: float | None

    @property
    def intensity_ops_per_byte(self) -> float:
        """Operations per byte moved."""
        return self.ops / self.bytes if self.bytes else 0.0

    @property
    def side(self) -> str:
        """Which side of the ridge it lies on: ``compute`` or ``bandwidth``."""
        above = self.ridge_ops_per_byte is None or self.intensity_ops_per_byte >= self.ridge_ops_per_byte
        return "compute" if above else "bandwidth"


@dataclass(frozen=True, slots=True)
class TrainingFigures:
    """A counted training step beside the rules of thumb, and the run that is made of it."""

    tokens_per_step: Figure
    model_flops: Figure
    hardware_flops: Figure
    six_n_t: Figure
    eight_n_t: Figure
    #: Of the estimated step, on one device.
    mfu: Figure
    hfu: Figure
    pf_days: Figure | None = None
    days: Figure | None = None
    devices_for_deadline: Figure | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """A profile on a device: what one pass takes, and what a rate of passes demands.

    What was not asked for, or cannot be said of this device, is None.
    """

    device: Figure
    precision: Figure
    limit: Figure
    bound_s: Figure
    estimate_s: Figure
    utilisation: Figure
    max_fps: Figure
    memory: Figure
    peak_ops_per_s: Figure
    bandwidth_bytes_per_s: Figure | None = None
    fps: Figure | None = None
    required_ops_per_s: Figure | None = None
    required_tops: Figure | None = None
    headroom: Figure | None = None
    energy_j: Figure | None = None
    memory_share: Figure | None = None
    smallest_device: Figure | None = None
    largest_batch: Figure | None = None
    measured_s: Figure | None = None
    share_of_bound: Figure | None = None
    training: TrainingFigures | None = None
    operators: tuple[OperatorBound, ...] = ()
    what_if: tuple[WhatIf, ...] = ()
    #: What the figures rest on, one sentence each.
    notes: tuple[str, ...] = field(default=())

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures that there are, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, Figure)}

    @property
    def fits(self) -> bool:
        """Whether the demanded rate, and the memory, are within the device; true where none is demanded."""
        return not self.shortfall

    @property
    def shortfall(self) -> str:
        """What the device cannot do of what is demanded, in one line; empty where it can."""
        parts = []
        if self.headroom is not None and self.fps is not None and float(self.headroom.value) < 1:
            rate = f"{float(self.fps.value):g}/s is above the {float(self.max_fps.value):.4g}/s"
            parts.append(f"{rate} that {self.device.value} sustains at a utilisation of {self.utilisation.value:g}")
        if self.memory_share is not None and float(self.memory_share.value) > 1:
            held = 1 / float(self.memory_share.value)
            parts.append(f"{self.device.value} has {held:.1%} of the memory that it takes")
        return " and ".join(parts)
