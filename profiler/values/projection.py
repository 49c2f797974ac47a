"""The results of a projection: figures, each with its kind and its source.

Like a record, a projection holds plain values only, so that a ``Profile`` can save and load it without the package that
computed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

#: A bound follows from the counted work and the peak rates: no device with these peaks is faster. An estimate also
#: assumes efficiencies, which its source states. A measured figure was timed or traced.
FigureKind = Literal["bound", "estimate", "measured"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its kind and its source. The name of the field that holds it carries the unit."""

    value: int | float | str
    kind: FigureKind
    #: The rule that gives the value, and the source of the numbers in it.
    source: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The projection of the same pass in another precision."""

    #: ``int8`` stores weights and activations in int8; ``int8-weights`` only the weights.
    precision: str
    #: The precision of the arithmetic: the nearest wider one that the device supports.
    computes_in: str
    weight_bytes: Figure
    bound_s: Figure
    estimate_s: Figure


@dataclass(frozen=True, slots=True)
class OperatorBound:
    """An operator on the roofline, summed over its calls."""

    operator: str
    dtype: str
    calls: int
    #: Operations (two per MAC), and bytes of operands and results in the projected precision.
    ops: int
    bytes: int
    #: Sum over the calls of the larger of compute time and memory time.
    bound_s: float
    estimate_s: float
    #: The ridge point: the arithmetic intensity at which compute and memory take equally long. None if unknown.
    ridge_ops_per_byte: float | None

    @property
    def intensity_ops_per_byte(self) -> float:
        """Arithmetic intensity: operations per byte of operands and results."""
        return self.ops / self.bytes if self.bytes else 0.0

    @property
    def side(self) -> str:
        """The side of the ridge point on which the operator lies: ``compute`` or ``bandwidth``."""
        is_above = self.ridge_ops_per_byte is None or self.intensity_ops_per_byte >= self.ridge_ops_per_byte
        return "compute" if is_above else "bandwidth"


@dataclass(frozen=True, slots=True)
class TimeShare:
    """A part of the estimated time of a pass: what the kernels of one class of operators take of one resource."""

    #: The class of operators, such as ``conv_1x1`` or ``pointwise``.
    class_: str
    #: ``compute``, ``bandwidth`` or ``launches``.
    resource: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainingFigures:
    """The counted FLOPs of a training step, the rules of thumb for them, and the figures of the planned run."""

    tokens_per_step: Figure
    model_flops: Figure
    hardware_flops: Figure
    six_n_t: Figure
    eight_n_t: Figure
    #: Model and hardware FLOPs utilisation of the estimated step, on one device.
    mfu: Figure
    hfu: Figure
    #: The same of a step whose rate was measured.
    measured_mfu: Figure | None = None
    measured_hfu: Figure | None = None
    pf_days: Figure | None = None
    days: Figure | None = None
    devices_for_deadline: Figure | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """A profile projected onto a device: time and memory of one pass, and what a rate of passes requires.

    A figure is None if it was not requested, or if the catalogue lacks the device's figure that it depends on.
    """

    device: Figure
    precision: Figure
    #: Where most of the estimated time goes: ``compute``, ``bandwidth`` or ``launches``.
    limit: Figure
    bound_s: Figure
    estimate_s: Figure
    utilisation: Figure
    max_fps: Figure
    memory: Figure
    peak_ops_per_s: Figure
    #: How the model runs: ``eager``, ``channels_last``, ``compiled`` or ``deployed``.
    mode: Figure | None = None
    #: The range of the estimate, which held 90 % of comparable measurements; None if nothing was compared.
    estimate_low_s: Figure | None = None
    estimate_high_s: Figure | None = None
    bandwidth_bytes_per_s: Figure | None = None
    fps: Figure | None = None
    required_ops_per_s: Figure | None = None
    required_tops: Figure | None = None
    headroom: Figure | None = None
    energy_j: Figure | None = None
    memory_share: Figure | None = None
    largest_batch: Figure | None = None
    measured_s: Figure | None = None
    share_of_bound: Figure | None = None
    #: Operations per second of the measured time.
    achieved_ops_per_s: Figure | None = None
    training: TrainingFigures | None = None
    #: Where the estimated time goes, most first.
    time_shares: tuple[TimeShare, ...] = ()
    operators: tuple[OperatorBound, ...] = ()
    #: The estimated seconds of all calls of each of ``Profile.entries``; their sum is the estimate.
    entry_s: tuple[float, ...] = ()
    what_if: tuple[WhatIf, ...] = ()
    #: Assumptions and caveats behind the figures, one sentence each.
    notes: tuple[str, ...] = field(default=())

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures that are not None, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Figure)}

    @property
    def fits(self) -> bool:
        """Whether the device has the memory and sustains the requested rate, if one was requested."""
        return not self.shortfall

    @property
    def shortfall(self) -> str:
        """The reasons why the profile does not fit the device, in one line; empty if it fits."""
        parts = []
        if self.headroom is not None and self.fps is not None and float(self.headroom.value) < 1:
            rate = f"{float(self.fps.value):g}/s is above the {float(self.max_fps.value):.4g}/s"
            parts.append(f"{rate} that {self.device.value} is estimated to sustain")
        if self.memory_share is not None and float(self.memory_share.value) > 1:
            available = 1 / float(self.memory_share.value)
            parts.append(f"{self.device.value} has {available:.1%} of the memory that it takes")
        return " and ".join(parts)
