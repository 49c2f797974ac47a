"""One forward pass, counted by us and by several peers: what each says, and why it says something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.peers import PickledModel, find, peers, run_peers
from profiler.reconcile.reconcile import reconcile
from profiler.trace.module_facts import collect_module_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from torch import nn

    from profiler.peers.runner import Make
    from profiler.tally import Profile
    from profiler.trace.module_facts import ModuleFacts
    from profiler.values.findings import Finding

ALL = "all"
#: Each peer runs the model once, on all cores that torch takes; more at a time only wait for each other.
AT_ONCE = 2


def select_peers(names: Iterable[str]) -> tuple[str, ...]:
    """Look peers up by name; "all" stands for those that are installed.

    Raises:
        UnknownNameError: There is none of a name.
    """
    chosen: list[str] = []
    for name in names:
        chosen += [n for n, peer in peers().items() if peer.installed] if name == ALL else [find(name).name]
    return tuple(dict.fromkeys(chosen))


def count_with_facts(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], count: Callable[..., Profile]
) -> tuple[Profile, tuple[ModuleFacts, ...]]:
    """Run one forward pass for both our count and the facts of the modules."""
    counted: list[Profile] = []
    facts = collect_module_facts(
        model, lambda: counted.append(count(model, *args, **kwargs)), lambda: model(*args, **kwargs)
    )
    return counted[0], facts


def compare_with_peers(
    names: Iterable[str],
    make: Make,
    profile: Profile,
    facts: tuple[ModuleFacts, ...],
    tell: Callable[[str], object] = lambda _: None,
) -> tuple[Finding, ...]:
    """Let the peers count what *make* gives, and explain what they say; in the order of *names*.

    *tell* is given the name of each peer as soon as it has answered.

    Raises:
        UnknownNameError: There is no such peer.
        ModelError: The model cannot be handed to another process.
    """
    chosen = select_peers(names)
    found: dict[str, tuple[Finding, ...]] = {}
    with PickledModel(make) as subject:
        for number, answer in run_peers([(name, subject) for name in chosen], at_once=AT_ONCE):
            name = chosen[number]
            found[name] = reconcile(profile, facts, find(name), answer)
            tell(name)
    return tuple(finding for name in chosen for finding in found[name])
