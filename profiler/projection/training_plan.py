"""What a training run takes: FLOPs by token, days, PF-days, utilisation, devices for a deadline.

Model FLOPs leave out what activation checkpointing runs again, hardware FLOPs have it: MFU and HFU are the two over the
same time and peak. Source: A. Chowdhery et al., PaLM (arXiv:2204.02311), section 4.1 and appendix B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.errors import PlanError
from profiler.values.projection import Figure, TrainingFigures
from profiler.values.records import tensors

if TYPE_CHECKING:
    from profiler.tally import Profile

_DAY_S = 86_400
#: A petaFLOP/s kept up for a day. Source: OpenAI, AI and Compute (2018); GPT-3 (arXiv:2005.14165), table D.1.
PF_DAY = 10**15 * _DAY_S


@dataclass(frozen=True, slots=True)
class StepFlops:
    """The FLOPs of one training step, as they were counted, beside the two rules of thumb."""

    model_flops: int
    hardware_flops: int
    optimizer_flops: int
    #: 6·N·T and 8·N·T: forward 2, backward 4, and 2 more where the forward is run again.
    six_n_t: int
    eight_n_t: int


def step_of(profile: Profile, tokens: int) -> StepFlops:
    """Read a profiled training step; *tokens* are those of its batch, samples times length."""
    phases = profile.phases
    model = phases["forward"].flops + phases["backward"].flops
    recomputed = phases["recompute"].flops
    n = profile.totals.params
    return StepFlops(model, model + recomputed, phases["optimizer"].flops, 6 * n * tokens, 8 * n * tokens)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training run to plan: how much data, on how many devices, by when."""

    #: Tokens; samples, where the model reads no tokens.
    tokens: float | None = None
    devices: int = 1
    deadline_days: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no number of tokens, devices or days."""
        numbers = {"tokens": self.tokens, "devices": self.devices, "deadline_days": self.deadline_days}
        _positive(**{name: value for name, value in numbers.items() if value is not None})


def training_figures(
    profile: Profile, seconds: float, peak: float, share: float, run: TrainingPlan
) -> TrainingFigures | None:
    """Give the figures of a profiled step that takes so many seconds; None where nothing was trained."""
    if not profile.phases["backward"].flops:
        return None
    tokens = tokens_of(profile)
    step = step_of(profile, tokens)
    mfu, hfu = (utilisation(flops, seconds, devices=1, peak=peak) for flops in (step.model_flops, step.hardware_flops))
    figures = TrainingFigures(
        tokens_per_step=Figure(tokens, "bound", "tokens of the first input, or its samples"),
        model_flops=Figure(step.model_flops, "bound", "counted, forward and backward"),
        hardware_flops=Figure(step.hardware_flops, "bound", "counted, with what checkpointing runs again"),
        six_n_t=Figure(step.six_n_t, "estimate", f"6 × {profile.totals.params:,} × {tokens:,}"),
        eight_n_t=Figure(step.eight_n_t, "estimate", f"8 × {profile.totals.params:,} × {tokens:,}"),
        mfu=Figure(mfu, "estimate", "model FLOPs of the estimated step"),
        hfu=Figure(hfu, "estimate", "hardware FLOPs of the estimated step"),
    )
    return figures if run.tokens is None else _planned(figures, run, peak, share)


def tokens_of(profile: Profile) -> int:
    """Count the tokens of a pass: the elements of its first input if that holds integers, or else its samples."""
    specs = [spec for _, value in profile.inputs for spec in tensors(value) if spec.shape]
    if not specs:
        return 1
    first = specs[0]
    return first.elements if first.dtype.startswith(("int", "uint")) else first.shape[0]


def _planned(figures: TrainingFigures, run: TrainingPlan, peak: float, share: float) -> TrainingFigures:
    """Add the run: its work is the counted model FLOPs of a token, times the tokens."""
    flops = float(figures.model_flops.value) / float(figures.tokens_per_step.value) * (run.tokens or 0)
    taken = days(flops, devices=run.devices, peak=peak, share=share)
    shown = f"{flops:.4g} model FLOPs at {share:g} of the peak"
    planned = replace(
        figures,
        pf_days=Figure(pf_days(flops), "bound", f"{flops:.4g} model FLOPs ÷ 8.64e19"),
        days=Figure(taken, "estimate", f"{shown} of {run.devices} devices, which scale without loss"),
    )
    if run.deadline_days is None:
        return planned
    needed = devices_for(flops, run.deadline_days, peak=peak, share=share)
    return replace(planned, devices_for_deadline=Figure(needed, "estimate", f"{shown}, in {run.deadline_days:g} days"))


def flops_per_token(params: float, *, layers: int, heads: int, head_dim: int, length: int) -> float:
    """Give the model FLOPs of training on one token: ``6·N + 12·L·H·Q·T``, attention not halved for its mask.

    Source: PaLM, appendix B.

    Example:
        >>> round(flops_per_token(540.35e9, layers=118, heads=48, head_dim=256, length=2048) / 1e12, 2)
        3.28
    """
    return 6 * params + 12 * layers * heads * head_dim * length


def utilisation(flops: float, seconds: float, *, devices: int, peak: float) -> float:
    """Give MFU of model FLOPs, HFU of hardware FLOPs: their rate over the peak of all devices.

    Raises:
        PlanError: A time, a number of devices or a peak is not positive.
    """
    _positive(seconds=seconds, devices=devices, peak=peak)
    return flops / (seconds * devices * peak)


def pf_days(flops: float) -> float:
    """Give work in petaFLOP/s-days.

    Example:
        >>> round(pf_days(6 * 174.6e9 * 300e9))
        3637
    """
    return flops / PF_DAY


def days(flops: float, *, devices: int, peak: float, share: float) -> float:
    """Give the days that a run takes at a share of the peak of each device.

    Raises:
        PlanError: A number is not positive, or the share is above 1.
    """
    _positive(devices=devices, peak=peak, share=share)
    if share > 1:
        msg = f"a utilisation of {share:g} is no share; write a number above 0 and at most 1"
        raise PlanError(msg)
    return flops / (devices * peak * share) / _DAY_S


def devices_for(flops: float, deadline_days: float, *, peak: float, share: float) -> int:
    """Count the devices that end a run by a deadline, if each adds its whole rate.

    Raises:
        PlanError: A number is not positive.
    """
    _positive(deadline_days=deadline_days)
    return max(1, math.ceil(days(flops, devices=1, peak=peak, share=share) / deadline_days))


def _positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            msg = f"{name.replace('_', ' ')} of {value:g} cannot be planned with; write a number above 0"
            raise PlanError(msg)
