"""``profiler TARGET``: profile a model. The default command."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from profiler.cli.app import app
from profiler.cli.device_options import NO_DEVICE, DeviceOptions
from profiler.cli.output import ProfileFormat, note, show
from profiler.cli.peer_options import NO_PEERS, PeerOptions
from profiler.cli.training_options import FORWARD_ONLY, TrainingOptions
from profiler.documents.about_target import about
from profiler.run.count_target import count_target
from profiler.targets import build_with_inputs

if TYPE_CHECKING:
    from profiler.tally import Profile


@app.default
def profile(
    target: str,
    /,
    *,
    batch: Annotated[int | None, Parameter(alias="-b")] = None,
    input: Annotated[tuple[str, ...], Parameter(alias="-i", consume_multiple=True)] = (),
    dtype: str | None = None,
    device: str = "auto",
    depth: int = 2,
    format: Annotated[ProfileFormat, Parameter(alias="-f")] = "text",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    quiet: Annotated[bool, Parameter(alias="-q")] = False,
    step: TrainingOptions = FORWARD_ONLY,
    peers: PeerOptions = NO_PEERS,
    target_device: DeviceOptions = NO_DEVICE,
) -> None:
    """Count one forward pass of a model in eval mode and without gradients, or with --train one training step.

    Args:
        target: `resnet18` (torchvision), `timm:NAME`, `hf:NAME` or `hf:path/to/config.json`,
            `package.module:factory`, `file.py:factory`, or `program.pt2`.
        batch: Size of the batch; that of the default input, if not given.
        input: Shape of an input: `3x224x224` for one sample of the first, or `input_ids=1x2048` by name.
            A dtype may follow: `ids=1x16:int64`.
        dtype: Floating dtype of the parameters and inputs, such as bfloat16; as the model makes them, if not given.
        device: `auto` is meta, without memory or weights, and the CPU for models that need values;
            or `meta`, `cpu`, `cuda`.
        depth: How many levels of modules the tree shows.
        format: How to write the result: text, json, csv or markdown.
        output: A file to write instead of printing.
        quiet: Say nothing on stderr.
        step: What a training step is made of.
        peers: Other counters beside ours.
        target_device: Where it is to run, and how often.
    """
    status, say = Console(stderr=True, quiet=quiet or not sys.stderr.isatty()), partial(note, quiet=quiet)
    target_device.check(training=step.train)
    step.check()
    device = peers.device(device, say)
    with status.status(f"profiling {target}"):
        found = count_target(target, specs=input, batch=batch, dtype=dtype, device=device, notify=say, run=step.run)
        found = peers.add_findings(
            found, partial(build_with_inputs, target, input, batch=batch, dtype=dtype, device=device), say
        )
        if step == FORWARD_ONLY and not (input or batch or dtype):
            found = _with_documents(found, target)
        found = target_device.add_projection(found, target, input, batch=batch, dtype=dtype, run=step.run)
    show(found, title=target, depth=depth, form=format, output=output)
    peers.judge(found)
    target_device.judge(found, strict=peers.strict)


def _with_documents(found: Profile, target: str) -> Profile:
    """Put what documents say of a model into the profile of its default forward pass."""
    if not any(True for _ in about(target)):
        return found
    from profiler.verify import findings_about  # noqa: PLC0415 - sympy takes half a second: only where documents know the model

    return replace(found, findings=(*found.findings, *findings_about(target, found)))
