"""What would save memory in a training step: each change is made, and the step runs again on ``meta``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map_only

from profiler.errors import ProfilerError
from profiler.run.autocast import under_autocast
from profiler.run.count_target import count_target
from profiler.run.lora import Lora
from profiler.values.memory import MemorySaving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.run.runner import Run
    from profiler.run.step_options import StepOptions
    from profiler.tally import Profile

#: The rank of the adapters, if the step has none of its own.
_RANK = 16
#: Optimizers whose two states are known in 8 bits.
_EIGHT_BIT = frozenset({"adam", "adamw"})


@dataclass(frozen=True, slots=True)
class StepRequest:
    """A training step of a target."""

    target: str
    options: StepOptions
    specs: tuple[str, ...] = ()
    batch: int | None = None
    dtype: str | None = None
    autocast: str | None = None
    #: The size of the batch to cut the inputs to; None for all of it.
    samples: int | None = None
    #: Why a change cannot be made; empty if it can.
    why: str = ""

    def count(self) -> Profile:
        """Run the step on ``meta``.

        Raises:
            ProfilerError: The step cannot run there.
        """
        run: Run = self._run
        run = under_autocast(run, self.autocast) if self.autocast else run
        return count_target(self.target, specs=self.specs, batch=self.batch, dtype=self.dtype, device="meta", run=run)

    def _run(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Profile:
        if self.samples is not None:
            args, kwargs = _first_samples((args, kwargs), self.samples)
        return self.options(model, args, kwargs)


def _first_samples(inputs: Any, samples: int) -> Any:
    """Return the inputs with half as many samples: each tensor that has twice *samples* rows or one more, cut."""
    whole = {2 * samples, 2 * samples + 1}

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[:samples].clone() if tensor.dim() and tensor.shape[0] in whole else tensor

    return tree_map_only(torch.Tensor, cut, inputs)


def with_savings(profile: Profile, request: StepRequest, *, all_changes: bool) -> Profile:
    """Return the profile of a step with what its own changes save, and with *all_changes* what others would."""
    if profile.memory is None:
        return profile
    applied = [_applied(profile, name, without) for name, without in _without(request)]
    savings = [*applied, *(_proposed(request, profile) if all_changes else ())]
    return replace(profile, memory=replace(profile.memory, savings=tuple(savings)))


def _without(request: StepRequest) -> Iterator[tuple[str, StepRequest]]:
    """Yield the changes that a step has, and the step without each."""
    options = request.options
    if options.checkpoint:
        yield "activation checkpointing", replace(request, options=replace(options, checkpoint=False))
    if options.lora is not None:
        yield f"LoRA {options.lora}", replace(request, options=replace(options, lora=None))


def _with(request: StepRequest, base: Profile) -> Iterator[tuple[str, StepRequest]]:
    """Yield the changes that a step could have, and the step with each."""
    options, dtypes = request.options, {dtype for dtype, _ in base.params_by_dtype}
    if not options.checkpoint:
        yield "activation checkpointing by block", replace(request, options=replace(options, checkpoint=True))
    is_known = (options.optimizer or "").lower() in _EIGHT_BIT
    why = "" if is_known else "known for --optimizer adam and adamw"
    yield "8-bit optimizer states", replace(request, options=replace(options, eight_bit=is_known), why=why)
    if options.lora is None:
        yield f"LoRA r={_RANK}", replace(request, options=replace(options, lora=Lora(_RANK)))
    why = "the weights are bfloat16" if dtypes == {"bfloat16"} else ""
    yield "bfloat16 weights", replace(request, dtype="bfloat16", why=why)
    half = base.samples // 2
    yield (
        f"a batch of {half}" if half else "half the batch",
        replace(request, samples=half, why="" if half else "the batch is 1"),
    )


def _proposed(request: StepRequest, profile: Profile) -> Iterator[MemorySaving]:
    try:
        base = profile if profile.device == "meta" else request.count()
    except ProfilerError as error:
        yield MemorySaving("any change", why=f"the step does not run on meta: {error}")
        return
    for name, changed in _with(request, base):
        try:
            yield MemorySaving(name, why=changed.why) if changed.why else _saving(name, base, changed.count())
        except ProfilerError as error:
            yield MemorySaving(name, why=str(error))


def _applied(profile: Profile, name: str, without: StepRequest) -> MemorySaving:
    try:
        return replace(_saving(name, without.count(), profile), is_applied=True)
    except ProfilerError as error:
        return MemorySaving(name, is_applied=True, why=str(error))


def _saving(name: str, before: Profile, after: Profile) -> MemorySaving:
    return MemorySaving(name, _peak(before), _peak(after), before.hardware_flops, after.hardware_flops)


def _peak(profile: Profile) -> int:
    return profile.totals.peak_memory.get("total", 0)
