"""The name under which ``torch.utils.module_tracker.ModuleTracker`` reports a module that has several."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts


def tracked_path(facts: ModuleFacts, forward_pass: ForwardPass) -> str:
    """Return the path under which the tracker reports a module.

    The tracker names the children of a module when that module is first called, each child once per parent. A later
    parent overwrites the name that an earlier one gave.
    """
    by_parent: dict[str, str] = {}
    for path in facts.paths:
        parent = path.rpartition(".")[0]
        if forward_pass.by_path[parent].path == parent:
            by_parent.setdefault(parent, path)
    return list(by_parent.values())[-1]
