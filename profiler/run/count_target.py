"""From the words of a command to a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.run.forward import count_forward
from profiler.run.runner import Notify, Run, Runner
from profiler.targets import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.tally import Profile


def count_target(
    name: str,
    *,
    specs: Sequence[str] = (),
    batch: int | None = None,
    dtype: str | None = None,
    device: str = "auto",
    notify: Notify = lambda _: None,
    run: Run | None = None,
) -> Profile:
    """Resolve a target by name, build it, make its inputs, and count one forward pass, or what *run* does with it.

    Args:
        name: A target as on the command line: ``resnet18``, ``timm:NAME``, ``hf:NAME``, ``file.py:factory`` …
        specs: Input specifications, such as ``3x224x224`` or ``input_ids=1x128``; by default the target's own.
        batch: Size of the first dimension of every input.
        dtype: Floating dtype of parameters and inputs; None keeps the model's own.
        device: "auto" is ``meta``, and the CPU where a model's control flow needs values.
        notify: Called with each note for the user.
        run: Takes the model, its positional and its keyword arguments, and returns a profile.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is wrong, or the model raised.

    Example:
        >>> count_target("resnet18").totals.macs
        1814073344
    """
    target = resolve(name)
    if target.note:
        notify(target.note)
    return Runner(run or count_forward, device=device, dtype=dtype, notify=notify)(target, specs, batch=batch)
