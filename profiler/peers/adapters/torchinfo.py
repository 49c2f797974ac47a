"""torchinfo: for every call of a module without children, its parameters times a part of the shape of its output.

It looks at no operator: a parameter called ``weight`` or ``bias`` is taken for multiply-adds, whatever is done with it,
and what a module computes without such a parameter is nothing. So all departures follow from the calls of the modules.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts, ParameterInfo
    from profiler.values.records import Shape, Value

PEER = Peer(
    "torchinfo",
    unit="MAC",
    distributions=("torchinfo",),
    convention="Each parameter of a leaf module, biases too, times a part of the shape of the output ('mult-adds').",
    install="pip install 'profiler[peers]'",
)
_SEEN = "1.8.0"
_WHERE = "torchinfo/layer_info.py: LayerInfo.calculate_macs"
_LAYER = "aten._transformer_encoder_layer_fwd"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Summarise one forward pass, and add up the calls of each leaf that has one name."""
    from torchinfo import summary  # noqa: PLC0415 - the peer itself

    inputs: Any = list(args) if args else kwargs
    found = summary(model, input_data=inputs, verbose=0, **(kwargs if args else {}))
    names: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(path)
    modules: dict[str, int] = {}
    for layer in found.summary_list:
        path, *more = names[layer.layer_id]
        if layer.is_leaf_layer and layer.executed and not more:
            modules[path] = modules.get(path, 0) + layer.macs
    return PeerResult(found.total_mult_adds, dict(modules), found.total_params)


class _Claimed(NamedTuple):
    """What torchinfo takes for multiply-adds in all calls of a leaf."""

    weights: int
    biases: int


def _leaves(forward_pass: ForwardPass) -> dict[str, ModuleFacts]:
    """Give the modules without children by their first path."""
    parents = {path.rpartition(".")[0] for path in forward_pass.by_path if path}
    return {facts.path: facts for facts in forward_pass.facts if parents.isdisjoint(facts.paths)}


def _claimed(facts: ModuleFacts) -> _Claimed:
    weights = biases = 0
    for shape, calls in _outputs(facts):
        for held in facts.params:
            amount = calls * _times(facts, held, shape) * prod(held.shape)
            if "bias" in held.name:
                biases += amount
            else:
                weights += amount
    return _Claimed(weights, biases)


def _times(facts: ModuleFacts, held: ParameterInfo, shape: Shape) -> int:
    """Say how often torchinfo takes a parameter to be used in a call with an output of this shape."""
    if held.name in {"weight", "bias"}:
        if "Conv" in facts.type.rpartition(".")[2]:
            return prod((*shape[:1], *shape[2:]))
        return shape[0] if shape else 0
    return prod(shape[:2]) if "weight" in held.name or "bias" in held.name else 0


def _outputs(facts: ModuleFacts) -> Iterator[tuple[Shape, int]]:
    """List the shapes of the outputs; of a layer that ran inside a fused one, those that it has without."""
    if facts.calls:
        yield from ((_size(visit.output), calls) for visit, calls in facts.calls)
    else:
        yield from ((_size(whole.record.results[0]), whole.record.calls) for whole in facts.composite_calls)


def _size(output: Value) -> Shape:
    """Take the first tensor of an output, as torchinfo does of lists."""
    while isinstance(output, tuple) and not isinstance(output, TensorSpec):
        output = output[0] if output else None
    return output.shape if isinstance(output, TensorSpec) else ()


def _code(facts: ModuleFacts) -> str:
    """Say under which code the weights of a leaf depart from its MACs."""
    word = facts.type.rpartition(".")[2]
    if "Conv" in word:
        return "TI-CONVT" if facts.setting("transposed") else "TI-CONV"
    if facts.is_a("Linear"):
        return "TI-LINEAR"
    if facts.is_a("Embedding") or facts.is_a("EmbeddingBag"):
        return "TI-EMBED"
    if facts.is_a("RNNBase") or facts.is_a("RNNCellBase"):
        return "TI-RNN"
    return "TI-WEIGHT" if _claimed(facts).weights else "TI-FUNC"


def _departs(code: str, kind: CauseKind, why: str) -> None:
    """Register what leaves of a family compute, less what torchinfo makes of their weights."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for path, facts in _leaves(forward_pass).items():
            if _code(facts) == code:
                ours = sum(e.record.calls * e.macs for name in facts.paths for e in forward_pass.at(name))
                yield Contribution(path, facts.type.rpartition(".")[2], ours - _claimed(facts).weights)

    PEER.deviates(code, kind, why, where=_WHERE, seen=_SEEN)(rule)


_departs(
    "TI-LINEAR", CauseKind.FORMULA, "multiplies the weights of a linear layer with the first dimension of its output"
)
_departs("TI-CONV", CauseKind.FORMULA, "takes the second dimension for channels, also where there is no batch")
_departs("TI-CONVT", CauseKind.GRID, "counts a transposed convolution on the grid of its output")
_departs("TI-EMBED", CauseKind.CONVENTION, "multiplies the whole table of an embedding with the batch")
_departs("TI-RNN", CauseKind.RECURRENT, "multiplies the weights of a recurrent layer with two dimensions of its output")
_departs("TI-WEIGHT", CauseKind.CONVENTION, "takes the weights of norms and others for multiply-adds, for each sample")
_departs("TI-FUNC", CauseKind.FUNCTIONAL, "does not see what a module without a weight of its own computes")


@PEER.deviates(
    "TI-BIAS",
    CauseKind.BIAS,
    "adds biases to the multiply-adds, at as many places as the weights",
    where=_WHERE,
    seen=_SEEN,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take the biases off."""
    for path, facts in _leaves(forward_pass).items():
        yield Contribution(path, facts.type.rpartition(".")[2], -_claimed(facts).biases)


def _outside_leaves(code: str, kind: CauseKind, why: str, holds: Callable[[str], bool]) -> None:
    """Register the MACs that run in no leaf."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        leaves = {name for facts in _leaves(forward_pass).values() for name in facts.paths}
        for entry in forward_pass.entries:
            facts = forward_pass.module(entry.record.module)
            type_name = facts.type if facts is not None else ""
            if entry.record.module not in leaves and holds(type_name):
                yield Contribution(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)

    PEER.deviates(code, kind, why, where="torchinfo/model_statistics.py: ModelStatistics", seen=_SEEN)(rule)


_outside_leaves(
    "TI-LEAF",
    CauseKind.UNSUPPORTED_MODULE,
    "counts no module that has children, such as nn.MultiheadAttention; a fused encoder layer is counted by its parts",
    lambda type_name: type_name.startswith("torch.nn.modules."),
)
_outside_leaves(
    "TI-CODE",
    CauseKind.FUNCTIONAL,
    "does not see what a model's own code computes: matmul, attention, functional calls",
    lambda type_name: not type_name.startswith("torch.nn.modules."),
)


@PEER.deviates(
    "TI-PARAMS",
    CauseKind.PARAMETERS,
    "counts a parameter that modules share once for each, and a module that was not called only by what is left over",
    where="torchinfo/model_statistics.py: ModelStatistics",
    seen=_SEEN,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off parameters that stand under several modules."""
    seen: set[int] = set()
    for facts in forward_pass.facts:
        for held in facts.params:
            if held.key in seen:
                yield Contribution(facts.path, held.name, -prod(held.shape))
            seen.add(held.key)
