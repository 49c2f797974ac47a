"""``count_target()``: count a model by its name, as the command line does."""

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
    """Build the model called *name* and its inputs, count one forward pass, and return the profile.

    Args:
        name: A target as on the command line: ``resnet18``, ``timm:NAME``, ``hf:NAME``, ``file.py:factory`` …
        specs: Input specifications, such as ``3x224x224`` or ``input_ids=1x128``; by default the target's own inputs.
        batch: First dimension of every input.
        dtype: Floating dtype of parameters and inputs; None keeps the model's own.
        device: Where to run; "auto" is ``meta``, or the CPU if the model's control flow depends on tensor values.
        notify: Called with each note for the user.
        run: What to do with the model instead of a forward pass; called as ``run(model, args, kwargs)``.

    Raises:
        ProfilerError: The name, an input, the dtype or the device is invalid, or the model raised.

    Example:
        >>> count_target("resnet18").totals.macs
        1814073344
    """
    return Runner(run or count_forward, device=device, dtype=dtype, notify=notify)(resolve(name), specs, batch=batch)
