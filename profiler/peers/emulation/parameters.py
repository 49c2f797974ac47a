"""Who holds which parameters, for the departures of those who count them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.values.findings import Contribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts, ParameterInfo

PARAMETER = "parameter"


def holdings(forward_pass: ForwardPass) -> Iterator[tuple[str, ModuleFacts, list[ParameterInfo]]]:
    """Yield every path with its module, and the parameters that are met there first, where we count them."""
    seen: set[int] = set()
    for facts in forward_pass.facts:
        fresh = {held.key: held for held in (*facts.params, *facts.packed) if held.key not in seen}
        seen.update(fresh)
        yield from ((path, facts, list(fresh.values()) if path == facts.path else []) for path in facts.paths)


def frozen(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Share out the parameters that are not trained, those of quantized layers among them."""
    for path, _, fresh in holdings(forward_pass):
        yield Contribution(path, PARAMETER, size(held for held in fresh if not held.trainable))


def size(params: Iterable[ParameterInfo]) -> int:
    """Count the elements of parameters."""
    return sum(prod(held.shape) for held in params)
