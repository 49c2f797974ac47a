"""An independent witness of memory: what torch's own CPU allocator reports to its profiler."""

from __future__ import annotations

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity


def peaks(step, operators):
    """Run a step, and give the highest sum of what it allocated: of all, and without what one operator frees.

    *operators* are the names of those that count as one: a block that is allocated and freed within the same call of
    one of them is its workspace.
    """
    with torch.profiler.profile(profile_memory=True, acc_events=True, activities=[ProfilerActivity.CPU]) as profiler:
        step()
    events = sorted(_allocations(profiler.profiler.kineto_results.experimental_event_tree(), operators))
    return _peak(events), _peak(_without_workspaces(events))


def _allocations(tree, operators):
    """Yield time, address, signed size and enclosing operator of each allocation and release."""
    stack = [(event, None) for event in tree]
    while stack:
        event, inside = stack.pop()
        if event.tag == _EventType.Allocation:
            fields = event.extra_fields
            yield event.start_time_ns, fields.ptr, fields.alloc_size, inside
        elif inside is None and event.tag == _EventType.TorchOp and event.name in operators:
            inside = event.id
        stack += [(child, inside) for child in event.children]


def _without_workspaces(events):
    """Leave out both ends of the blocks that live within one call."""
    left_out, open_blocks = set(), {}
    for place, (_, address, size, inside) in enumerate(events):
        if size > 0:
            open_blocks[address] = place, inside
        elif address in open_blocks:
            began, where = open_blocks.pop(address)
            if where is not None and where == inside:
                left_out |= {began, place}
    return [event for place, event in enumerate(events) if place not in left_out]


def _peak(events):
    live = highest = 0
    for _, _, size, _ in events:
        live += size
        highest = max(highest, live)
    return highest
