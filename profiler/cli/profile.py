"""``profiler TARGET``: profile a model. The default command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from profiler.cli.app import app
from profiler.cli.device_options import NO_DEVICE, DeviceOptions
from profiler.cli.input_options import DEFAULT_INPUTS, InputOptions
from profiler.cli.output import ProfileFormat, counting, emit, note, show, working
from profiler.cli.peer_options import NO_PEERS, PeerOptions
from profiler.cli.subjects import MODEL, OUTPUT
from profiler.cli.training_options import FORWARD_ONLY, TrainingOptions
from profiler.cli.world_options import NO_WORLD, WorldOptions
from profiler.errors import InputError
from profiler.report import render
from profiler.util.permissions import with_permissions
from profiler.util.quick_imports import import_quickly


@app.default
def profile(
    target: str,
    /,
    *,
    batch: Annotated[int | None, Parameter(alias="-b", group=MODEL)] = None,
    inputs: InputOptions = DEFAULT_INPUTS,
    dtype: Annotated[str | None, Parameter(group=MODEL)] = None,
    autocast: Annotated[str | None, Parameter(group=MODEL)] = None,
    attention: Annotated[Literal["flash", "math"], Parameter(group=MODEL)] = "flash",
    device: Annotated[str, Parameter(group=MODEL)] = "auto",
    depth: Annotated[int | None, Parameter(group=OUTPUT)] = None,
    format: Annotated[ProfileFormat, Parameter(alias="-f", group=OUTPUT)] = "text",
    output: Annotated[Path | None, Parameter(alias="-o", group=OUTPUT)] = None,
    quiet: Annotated[bool, Parameter(alias="-q", group=OUTPUT)] = False,
    step: TrainingOptions = FORWARD_ONLY,
    peers: PeerOptions = NO_PEERS,
    target_device: DeviceOptions = NO_DEVICE,
    world: WorldOptions = NO_WORLD,
) -> None:
    """Count one forward pass of a model in eval mode and without gradients, or with --train one training step.

    Args:
        target: The model: `resnet18` (torchvision), `timm:NAME`, `hf:NAME` or `hf:path/to/config.json`,
            `package.module:factory`, `file.py:factory`, or `program.pt2`.
        batch: Batch size; by default that of the default input.
        inputs: What the model is called with.
        dtype: Floating-point dtype of parameters and inputs, such as bfloat16; by default the model's own.
        autocast: Run under autocast to `float16` or `bfloat16`, with the casts that CUDA's autocast makes.
        attention: How scaled dot-product attention runs: `flash`, in the fused kernel of the device, or `math`, as
            matrix products and a softmax.
        device: Where the model runs: `meta` (no weights, no memory), `cpu`, `cuda`, or `auto`, which is `meta`, or the
            CPU for models that need real values.
        depth: Number of module levels to show; by default 2, and all of them in CSV.
        format: Output format.
        output: File to write the result to, instead of printing it.
        quiet: Print nothing on stderr.
        step: The training step.
        peers: Other counters.
        target_device: The device to project onto.
        world: The ranks to count instead of a run in one process.
    """
    notify, specs = partial(note, quiet=quiet), inputs.specs
    target_device.check(training=step.train)
    if target_device.are_several and format != "text":
        msg = (
            f"--format {format} shows one device; name one with --on, or write `rank {target} --on {target_device.on}`"
        )
        raise InputError(msg)
    step.check()
    world.check()
    if world.is_given:
        import_quickly("torch")
        _refuse_in_world(attention=attention, device=device)
        ranks = step.step(target, specs, batch, dtype)
        with working(f"tracing {world.mesh}", quiet=quiet):
            shown = world.one_rank(ranks, autocast, peers.words)
        if shown is not None:
            show(shown, title=world.rank_title(target, autocast), depth=depth, form=format, output=output)
            peers.check_findings(shown)
            return
        with working(f"tracing the roles of {world.mesh}", quiet=quiet):
            text = world.roles_report(ranks, autocast, format, target_device)
        emit(text, output)
        return
    with peers.pool(target) as pool:
        import_quickly("torch")
        from profiler.run.attention import sdpa_kernels
        from profiler.run.autocast import under_autocast
        from profiler.run.count_target import count_target
        from profiler.run.forward import count_forward
        from profiler.targets import build_with_inputs

        device = peers.device(device, notify)
        run = under_autocast(step.run or count_forward, autocast) if autocast else step.run
        with working(f"profiling {target}", quiet=quiet), sdpa_kernels(attention):
            counted = count_target(target, specs=specs, batch=batch, dtype=dtype, device=device, notify=notify, run=run)
            counted = step.add_savings(counted, target, specs, batch, dtype, autocast)
        make = with_permissions(partial(build_with_inputs, target, specs, batch=batch, dtype=dtype, device=device))
        with counting("counters that answered", len(peers.names), quiet=quiet) as bar, sdpa_kernels(attention):
            counted = peers.add_findings(counted, make, bar, pool)
    with working(f"profiling {target}", quiet=quiet), sdpa_kernels(attention):
        is_default = step == FORWARD_ONLY and not (specs or batch or dtype or autocast)
        counted = peers.add_documents(counted, target, notify, is_default=is_default)
        counted = target_device.add_projection(counted, target, specs, batch=batch, dtype=dtype, run=run)
    title = f"{target} under autocast to {autocast}" if autocast else target
    devices = target_device.side_by_side(counted, target)
    if devices and output is not None:
        emit(f"{render(counted, format, title=title, depth=depth)}\n{devices}", output)
    else:
        show(counted, title=title, depth=depth, form=format, output=output)
        emit(f"\n{devices}" if devices else "", None)
    peers.check_findings(counted)
    target_device.judge(counted, strict=peers.strict)


def _refuse_in_world(*, attention: str, device: str) -> None:
    """Raise an ``InputError`` for an option that has no meaning in a world of several ranks."""
    given = {"--attention": attention != "flash", "--device": device != "auto"}
    for option, is_given in given.items():
        if is_given:
            msg = f"{option} does not apply to the ranks of a world; remove it, or --world and --mesh"
            raise InputError(msg)
