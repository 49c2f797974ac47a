"""``find_layouts()``: the meshes into which a world divides, by how fast they train a model, and what does not fit.

Few small worlds are traced, and their figures extended to the meshes: see `role_families`. What is extended is verified
at further points; the times are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.devices import find_device
from profiler.devices.server import server_of
from profiler.errors import ModelError, ProfilerError
from profiler.projection.device_memory import usable_bytes
from profiler.worlds.layout_candidates import Candidate, Dropped, Search, candidates_of
from profiler.worlds.layout_figures import Layout, evaluate
from profiler.worlds.role_families import Family, trace_families, traced_points
from profiler.worlds.saved_activations import saved_bytes
from profiler.worlds.shortened import stack_of

if TYPE_CHECKING:
    from profiler.worlds.extension import Verified
    from profiler.worlds.shortened import Stack


@dataclass(frozen=True, slots=True)
class Layouts:
    """The layouts that fit, fastest first, and those that do not."""

    ranked: tuple[Layout, ...]
    dropped: tuple[Dropped, ...]
    device: str
    #: Blocks of the whole model.
    blocks: int
    #: Small worlds that were traced, of so many families, each verified at two further points.
    traced: int
    families: int
    usable_bytes: int | None


def find_layouts(search: Search) -> Layouts:
    """Return the meshes of a world, by estimated tokens per second.

    The axes are pp (1F1B), dp (FSDP2) and tp (within a server); the experts of a mixture are whole on every rank, or
    divided over as many ranks as can be. A microbatch is one sequence.

    Args:
        search: What is searched for.

    Raises:
        InputError: The model has no single stack of equal blocks.
        ModelError: No small world could be traced: the model raised, for example.
        UnknownNameError: There is no such device.
        DeviceError: The catalogue has no links of the device.
    """
    device = find_device(search.device)
    search = replace(search, device=device.id)
    stack, server = stack_of(search.step.target, search.step.dtype), server_of(device.id)
    candidates, dropped = candidates_of(search, stack, server.domain)
    usable = usable_bytes(device)
    candidates, too_large = _without_hopeless(candidates, search, stack, usable)
    families = list(dict.fromkeys(family for one in candidates for family, _ in one.parts))
    extensions = trace_families(families, search.step, device.id, search.mode)
    reasons = [one for one in extensions.values() if isinstance(one, str)]
    if reasons and len(reasons) == len(extensions):
        raise ModelError(reasons[0])
    layouts: list[Layout] = []
    for one in candidates:
        outcome = _outcome(one, extensions, search, usable)
        if isinstance(outcome, Layout):
            layouts.append(outcome)
        else:
            dropped.append(Dropped(one.division, one.checkpoint, outcome))
    return Layouts(
        tuple(sorted(layouts, key=lambda layout: (-layout.tokens_per_s, layout.memory_bytes))),
        (*dropped, *too_large),
        device.id,
        len(stack.paths),
        traced_points(families),
        len(families),
        usable,
    )


def _outcome(
    one: Candidate, extensions: dict[Family, Verified | str], search: Search, usable: int | None
) -> Layout | str:
    """Return the layout of a candidate, or why there is none."""
    parts = []
    for family, blocks in one.parts:
        extension = extensions[family]
        if isinstance(extension, str):
            return extension
        parts.append((family, extension, blocks))
    try:
        layout = evaluate(one.division, parts, one.microbatches, search.microbatch_tokens, search.device)
    except ProfilerError as error:
        return str(error)
    if usable is not None and layout.memory_bytes > usable:
        return f"needs {layout.memory_bytes / 2**30:.1f} GiB of {usable / 2**30:.1f} GiB"
    return layout


def _without_hopeless(
    candidates: list[Candidate], search: Search, stack: Stack, usable: int | None
) -> tuple[list[Candidate], list[Dropped]]:
    """Drop candidates without checkpointing whose saved activations alone do not fit, whatever the pipeline.

    A first stage of P holds those of P microbatches for a P-th of the blocks: as many as a whole model holds of one.
    """
    if usable is None:
        return candidates, []
    degrees = sorted({one.division.mesh.size("tp") for one in candidates if not one.checkpoint})
    saved = saved_bytes(search.step, degrees, search.device)
    left, dropped = [], []
    for one in candidates:
        size = 0 if one.checkpoint else len(stack.paths) * saved[one.division.mesh.size("tp")]
        if size > usable:
            reason = f"the saved activations alone need {size / 2**30:.1f} GiB of {usable / 2**30:.1f} GiB"
            dropped.append(Dropped(one.division, one.checkpoint, reason))
        else:
            left.append(one)
    return left, dropped
