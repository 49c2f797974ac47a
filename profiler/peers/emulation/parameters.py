"""Which module holds which parameters, for the deviations of peers that count parameters."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.values.findings import Contribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts, ParameterInfo

PARAMETER = "parameter"


def new_parameters(forward_pass: ForwardPass) -> Iterator[tuple[str, ModuleFacts, list[ParameterInfo]]]:
    """Yield every module path, with the parameters that no earlier path holds: our count assigns them to this path."""
    counted: set[int] = set()
    for facts in forward_pass.facts:
        new = {param.key: param for param in (*facts.params, *facts.packed) if param.key not in counted}
        counted.update(new)
        yield from ((path, facts, list(new.values()) if path == facts.path else []) for path in facts.paths)


def frozen_parameters(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the parameters that are not trainable, including those of quantized layers."""
    for path, _, params in new_parameters(forward_pass):
        yield Contribution(path, PARAMETER, num_elements(param for param in params if not param.trainable))


def num_elements(params: Iterable[ParameterInfo]) -> int:
    """Return the number of elements of parameters."""
    return sum(prod(param.shape) for param in params)
