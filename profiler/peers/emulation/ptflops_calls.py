"""The calls of functions that ptflops patches, and which of the MACs that its hooks miss they count."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from profiler.peers.emulation.hook_based import HookCounterModel, MissReason
from profiler.peers.emulation.ptflops_functions import PATCHED, true_macs
from profiler.peers.emulation.ptflops_hooks import hooks
from profiler.peers.emulation.unfuse import unfused
from profiler.peers.forward_pass import mac_contributions
from profiler.values.findings import Contribution, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.call_facts import FunctionCall


def emulate(forward_pass: ForwardPass) -> HookCounterModel:
    """Return what the hooks of ptflops count of a forward pass."""
    return HookCounterModel(unfused(forward_pass, hooks=True), hooks())


def split_missed(forward_pass: ForwardPass) -> Iterator[tuple[MissReason, Contribution, Contribution]]:
    """Split the MACs missed by hooks into those also missed by patched functions and those counted by them."""
    emulation = emulate(forward_pass)
    counted: Counter[str] = Counter()
    for call, times in patched_calls(emulation, inside=False):
        counted[call.module] += times * true_macs(call)
    for reason, entry in emulation.missed():
        for contribution in mac_contributions((entry,)):
            part = min(int(contribution.amount), counted[contribution.module])
            counted[contribution.module] -= part
            yield reason, contribution._replace(amount=contribution.amount - part), contribution._replace(amount=part)


def patched_calls(emulation: HookCounterModel, *, inside: bool) -> Iterator[tuple[FunctionCall, int]]:
    """Yield the calls of patched functions, either inside modules that a hook counts or outside them."""
    for call, times in (row for facts in emulation.forward_pass.facts for row in facts.function_calls):
        if call.name in PATCHED and emulation.is_inside_counted(call.module) == inside:
            yield call, times


def in_total(
    emulation: HookCounterModel, inside: bool, amount: Callable[[FunctionCall], Number]
) -> Iterator[Contribution]:
    """Subtract an amount of each call of a patched function at the root, since only the total contains it."""
    return (
        Contribution("", call.name, -times * amount(call)) for call, times in patched_calls(emulation, inside=inside)
    )
