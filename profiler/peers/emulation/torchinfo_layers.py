"""What torchinfo counts for a leaf module: each parameter times a part of the shape of the output.

Source: torchinfo/layer_info.py, ``LayerInfo.calculate_macs``.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts, ParameterInfo
    from profiler.values.records import Shape, Value


class ClaimedMacs(NamedTuple):
    """What torchinfo counts as multiply-adds in all calls of a leaf module."""

    weights: int
    biases: int


def leaves(forward_pass: ForwardPass) -> dict[str, ModuleFacts]:
    """Return the modules without children, by their first path."""
    parents = {path.rpartition(".")[0] for path in forward_pass.by_path if path}
    return {facts.path: facts for facts in forward_pass.facts if parents.isdisjoint(facts.paths)}


def claimed_macs(facts: ModuleFacts) -> ClaimedMacs:
    """Return what torchinfo counts for a leaf module."""
    weights = biases = 0
    for shape, times in _outputs(facts):
        for param in facts.params:
            amount = times * _uses(facts, param, shape) * prod(param.shape)
            if "bias" in param.name:
                biases += amount
            else:
                weights += amount
    return ClaimedMacs(weights, biases)


def _uses(facts: ModuleFacts, param: ParameterInfo, shape: Shape) -> int:
    """Return how often torchinfo assumes that a parameter is used in a call with an output of this shape."""
    if param.name in {"weight", "bias"}:
        if "Conv" in facts.type.rpartition(".")[2]:
            return prod((*shape[:1], *shape[2:]))
        return shape[0] if shape else 0
    return prod(shape[:2]) if "weight" in param.name or "bias" in param.name else 0


def _outputs(facts: ModuleFacts) -> Iterator[tuple[Shape, int]]:
    """Yield the output shape of each call; a leaf inside a fused layer is called only when the layer runs unfused."""
    if facts.calls:
        yield from ((_shape(call.output), times) for call, times in facts.calls)
    else:
        yield from ((_shape(call.record.results[0]), call.record.calls) for call in facts.composite_calls)


def _shape(output: Value) -> Shape:
    """Return the shape of the first tensor of an output, as torchinfo does for lists."""
    while isinstance(output, tuple) and not isinstance(output, TensorSpec):
        output = output[0] if output else None
    return output.shape if isinstance(output, TensorSpec) else ()
