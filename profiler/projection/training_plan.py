"""Training runs: FLOPs per token, utilisation, PF-days, days, and the devices that a deadline requires.

Model FLOPs leave out the operators that activation checkpointing runs again; hardware FLOPs include them. MFU and HFU
relate the two to the peak rate of all devices over the same time. Source: A. Chowdhery et al., PaLM (arXiv:2204.02311),
section 4.1 and appendix B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.errors import PlanError
from profiler.projection.amounts import require_amount
from profiler.values.projection import Figure, TrainingFigures
from profiler.values.records import tensors

if TYPE_CHECKING:
    from profiler.projection.device_pass import DevicePass
    from profiler.tally import Profile

_DAY_S = 86_400
#: FLOPs of one PF-day: 10¹⁵ FLOP/s for a day.
#: Source: OpenAI, AI and Compute (2018); GPT-3 (arXiv:2005.14165), table D.1.
PF_DAY = 10**15 * _DAY_S


@dataclass(frozen=True, slots=True)
class StepFlops:
    """The counted FLOPs of one training step, and the two rules of thumb for them."""

    model_flops: int
    hardware_flops: int
    optimizer_flops: int
    #: 6·N·T and 8·N·T for N parameters and T tokens: forward 2, backward 4, and 2 more if the forward is run again.
    six_n_t: int
    eight_n_t: int


def step_flops(profile: Profile, tokens: int) -> StepFlops:
    """Return the FLOPs of a profiled training step.

    Args:
        profile: The profile of one step.
        tokens: Tokens of the step's batch: samples × length.
    """
    phases = profile.phases
    model_flops = phases["forward"].flops + phases["backward"].flops
    hardware_flops = model_flops + phases["recompute"].flops
    n = profile.totals.params
    return StepFlops(model_flops, hardware_flops, phases["optimizer"].flops, 6 * n * tokens, 8 * n * tokens)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training run to plan: the amount of data, the number of devices, and the deadline.

    Raises:
        PlanError: A number is not positive.
    """

    #: Tokens of the whole run; samples, if the model's input is not tokens.
    tokens: float | None = None
    devices: int = 1
    deadline_days: float | None = None

    def __post_init__(self) -> None:
        """Validate the numbers."""
        numbers = {"tokens": self.tokens, "devices": self.devices, "deadline_days": self.deadline_days}
        _check_positive(**{name: value for name, value in numbers.items() if value is not None})


def training_figures(device_pass: DevicePass, utilisation: float | None, plan: TrainingPlan) -> TrainingFigures | None:
    """Return the training figures of a profiled step; None if the profile has no backward pass.

    Args:
        device_pass: The step on a device.
        utilisation: Fraction of the peak that the model FLOPs of the planned run sustain; None for the estimate's.
        plan: The training run.
    """
    profile, peak_ops_per_s = device_pass.profile, device_pass.peak_ops_per_s
    if not profile.phases["backward"].flops:
        return None
    tokens = count_tokens(profile)
    step = step_flops(profile, tokens)
    mfu, hfu = (
        flops_utilisation(flops, device_pass.estimate.seconds, devices=1, peak_ops_per_s=peak_ops_per_s)
        for flops in (step.model_flops, step.hardware_flops)
    )
    figures = TrainingFigures(
        tokens_per_step=Figure(tokens, "bound", "tokens of the first input, or its samples"),
        model_flops=Figure(step.model_flops, "bound", "counted, forward and backward"),
        hardware_flops=Figure(step.hardware_flops, "bound", "counted, including recomputation by checkpointing"),
        six_n_t=Figure(step.six_n_t, "estimate", f"6 × {profile.totals.params:,} × {tokens:,}"),
        eight_n_t=Figure(step.eight_n_t, "estimate", f"8 × {profile.totals.params:,} × {tokens:,}"),
        mfu=Figure(mfu, "estimate", "model FLOPs of the estimated step"),
        hfu=Figure(hfu, "estimate", "hardware FLOPs of the estimated step"),
    )
    return figures if plan.tokens is None else _with_plan(figures, plan, peak_ops_per_s, utilisation or mfu)


def count_tokens(profile: Profile) -> int:
    """Return the tokens of a pass: the elements of its first input if these are integers, otherwise its samples."""
    specs = [spec for _, value in profile.inputs for spec in tensors(value) if spec.shape]
    if not specs:
        return 1
    first = specs[0]
    return first.elements if first.dtype.startswith(("int", "uint")) else first.shape[0]


def _with_plan(
    figures: TrainingFigures, plan: TrainingPlan, peak_ops_per_s: float, utilisation: float
) -> TrainingFigures:
    """Add the figures of the whole run, whose work is the step's model FLOPs per token × the tokens of the run.

    Raises:
        PlanError: The step's batch is empty.
    """
    if not figures.tokens_per_step.value:
        msg = "the batch is empty, so that no run can be planned from its step; give inputs with some samples"
        raise PlanError(msg)
    flops = float(figures.model_flops.value) / float(figures.tokens_per_step.value) * (plan.tokens or 0)
    run_days = days(flops, devices=plan.devices, peak_ops_per_s=peak_ops_per_s, utilisation=utilisation)
    source = f"{flops:.4g} model FLOPs at {utilisation:.3g} of the peak"
    planned = replace(
        figures,
        pf_days=Figure(pf_days(flops), "bound", f"{flops:.4g} model FLOPs ÷ 8.64e19"),
        days=Figure(run_days, "estimate", f"{source} of {plan.devices} devices, with linear scaling"),
    )
    if plan.deadline_days is None:
        return planned
    needed = devices_for(flops, plan.deadline_days, peak_ops_per_s=peak_ops_per_s, utilisation=utilisation)
    return replace(
        planned, devices_for_deadline=Figure(needed, "estimate", f"{source}, in {plan.deadline_days:g} days")
    )


def flops_per_token(params: float, *, layers: int, heads: int, head_dim: int, length: int) -> float:
    """Return the model FLOPs of training a transformer on one token: ``6·N + 12·L·H·Q·T``.

    Attention is counted as dense: the causal mask does not halve it.

    Source: PaLM, appendix B.

    Example:
        >>> round(flops_per_token(540.35e9, layers=118, heads=48, head_dim=256, length=2048) / 1e12, 2)
        3.28
    """
    return 6 * params + 12 * layers * heads * head_dim * length


def flops_utilisation(flops: float, seconds: float, *, devices: int, peak_ops_per_s: float) -> float:
    """Return the rate of *flops* in *seconds*, relative to the peak of all devices.

    This is the MFU if *flops* are model FLOPs, and the HFU if they are hardware FLOPs.

    Raises:
        PlanError: A time, a number of devices or a peak is not positive.

    Example:
        >>> flops_utilisation(3e14, 2.0, devices=1, peak_ops_per_s=312e12)
        0.4807692307692308
    """
    _check_positive(seconds=seconds, devices=devices, peak_ops_per_s=peak_ops_per_s)
    return flops / (seconds * devices * peak_ops_per_s)


def pf_days(flops: float) -> float:
    """Return an amount of work in petaFLOP/s-days.

    Example:
        >>> round(pf_days(6 * 174.6e9 * 300e9))
        3637
    """
    return flops / PF_DAY


def days(flops: float, *, devices: int, peak_ops_per_s: float, utilisation: float) -> float:
    """Return the days that a run takes if every device sustains *utilisation* × its peak.

    Raises:
        PlanError: A number is not positive, or the utilisation is above 1.

    Example:
        >>> days(8.64e19, devices=100, peak_ops_per_s=1e12, utilisation=0.5)
        20.0
    """
    _check_positive(devices=devices, peak_ops_per_s=peak_ops_per_s, utilisation=utilisation)
    if utilisation > 1:
        msg = f"cannot plan with a utilisation of {utilisation:g}; write a number above 0 and at most 1"
        raise PlanError(msg)
    return flops / (devices * peak_ops_per_s * utilisation) / _DAY_S


def devices_for(flops: float, deadline_days: float, *, peak_ops_per_s: float, utilisation: float) -> int:
    """Return the number of devices that finish a run by a deadline, with linear scaling.

    Raises:
        PlanError: A number is not positive, or the utilisation is above 1.
    """
    _check_positive(deadline_days=deadline_days)
    one_device_days = days(flops, devices=1, peak_ops_per_s=peak_ops_per_s, utilisation=utilisation)
    return max(1, math.ceil(one_device_days / deadline_days))


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        require_amount(value, f"{name.replace('_', ' ')} of {{}}")
