"""Peak memory as torch's own profiler records it from the CPU allocator: an independent reference."""

from __future__ import annotations

import torch
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity


def peaks(step, operators):
    """Run a step and return the peak of its live bytes, with and without the workspaces of operators.

    A workspace is a block that is allocated and freed within the same call of one of *operators*, which are names. What
    autocast converts for an operator is none: it calls the operator again, and the conversions are around that call.
    """
    with torch.profiler.profile(profile_memory=True, acc_events=True, activities=[ProfilerActivity.CPU]) as profiler:
        step()
    events = sorted(_allocations(profiler.profiler.kineto_results.experimental_event_tree(), operators))
    return _peak(events), _peak(_without_workspaces(events))


def _allocations(tree, operators):
    """Yield the time, address, signed size and enclosing operator of each allocation and release."""
    stack = [(event, None) for event in tree]
    while stack:
        event, operator = stack.pop()
        if event.tag == _EventType.Allocation:
            fields = event.extra_fields
            yield event.start_time_ns, fields.ptr, fields.alloc_size, operator
        elif operator is None and event.name in operators and _runs_a_kernel(event):
            operator = event.id
        stack += [(child, operator) for child in event.children]


def _runs_a_kernel(event):
    """Return whether a call is that of a kernel: autocast and dispatch modes call the same operator again."""
    return event.tag == _EventType.TorchOp and all(child.name != event.name for child in event.children)


def _without_workspaces(events):
    """Return the events without the allocation and release of blocks that live within one call."""
    workspaces, live_blocks = set(), {}
    for index, (_, address, size, operator) in enumerate(events):
        if size > 0:
            live_blocks[address] = index, operator
        elif address in live_blocks:
            allocation, allocating_operator = live_blocks.pop(address)
            if allocating_operator is not None and allocating_operator == operator:
                workspaces |= {allocation, index}
    return [event for index, event in enumerate(events) if index not in workspaces]


def _peak(events):
    live = peak = 0
    for _, _, size, _ in events:
        live += size
        peak = max(peak, live)
    return peak
