"""torchinfo: for each call of a module without children, its parameters times a part of the shape of its output.

It does not look at operators. Every parameter named ``weight`` or ``bias`` counts as multiply-adds, whatever it is used
for, and work without such a parameter counts 0. So all deviations follow from the calls of modules.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.parameters import PARAMETER, num_elements
from profiler.peers.emulation.torchinfo_layers import claimed_macs, leaves
from profiler.peers.forward_pass import mac_contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.module_facts import ModuleFacts

PEER = Peer(
    "torchinfo",
    unit="MAC",
    distributions=("torchinfo",),
    convention="Each parameter of a leaf module, biases too, times a part of the shape of the output ('mult-adds').",
    install="pip install 'profiler[peers]'",
)
_VERSIONS = "1.8.0"
_CALCULATE_MACS = "torchinfo/layer_info.py: LayerInfo.calculate_macs"
_STATISTICS = "torchinfo/model_statistics.py: ModelStatistics"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Summarize one forward pass, and sum the calls of each leaf module that has only one name."""
    from torchinfo import summary  # noqa: PLC0415 - the peer itself

    inputs: Any = list(args) if args else kwargs
    statistics = summary(model, input_data=inputs, verbose=0, **(kwargs if args else {}))
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    modules: dict[str, int] = {}
    for layer in statistics.summary_list:
        path, *others = paths[layer.layer_id]
        if layer.is_leaf_layer and layer.executed and not others:
            modules[path] = modules.get(path, 0) + layer.macs
    return PeerResult(statistics.total_mult_adds, dict(modules), statistics.total_params)


def _family(facts: ModuleFacts) -> str:
    """Return the code of the deviation that a leaf module belongs to."""
    class_name = facts.type.rpartition(".")[2]
    if facts.packed:
        return "TI-FUNC"
    if "Conv" in class_name:
        return "TI-CONVT" if facts.setting("transposed") else "TI-CONV"
    if facts.is_a("Linear"):
        return "TI-LINEAR"
    if facts.is_a("Embedding") or facts.is_a("EmbeddingBag"):
        return "TI-EMBED"
    if facts.is_a("RNNBase") or facts.is_a("RNNCellBase"):
        return "TI-RNN"
    return "TI-WEIGHT" if claimed_macs(facts).weights else "TI-FUNC"


def _add_family(code: str, kind: CauseKind, why: str) -> None:
    """Register a family of leaf modules as a deviation: our MACs minus what torchinfo counts for their weights."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for path, facts in leaves(forward_pass).items():
            if _family(facts) == code:
                ours = sum(e.record.calls * e.macs for name in facts.paths for e in forward_pass.at(name))
                yield Contribution(path, facts.type.rpartition(".")[2], ours - claimed_macs(facts).weights)

    PEER.deviates(code, kind, why, where=_CALCULATE_MACS, versions=_VERSIONS)(rule)


_add_family(
    "TI-LINEAR", CauseKind.FORMULA, "multiplies the weights of a linear layer by the first dimension of its output only"
)
_add_family("TI-CONV", CauseKind.FORMULA, "takes the second dimension as channels, even if the input is unbatched")
_add_family(
    "TI-CONVT", CauseKind.GRID, "counts a transposed convolution on the grid of its output instead of its input"
)
_add_family("TI-EMBED", CauseKind.CONVENTION, "multiplies the whole table of an embedding by the batch size")
_add_family(
    "TI-RNN", CauseKind.RECURRENT, "multiplies the weights of a recurrent layer by two dimensions of its output"
)
_add_family("TI-WEIGHT", CauseKind.CONVENTION, "counts the weights of norms and other layers as MACs, once per sample")
_add_family("TI-FUNC", CauseKind.FUNCTIONAL, "counts 0 for a module without a weight of its own")


@PEER.deviates(
    "TI-BIAS",
    CauseKind.BIAS,
    "adds the biases to the MACs, as often as the weights",
    where=_CALCULATE_MACS,
    versions=_VERSIONS,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the biases."""
    for path, facts in leaves(forward_pass).items():
        yield Contribution(path, facts.type.rpartition(".")[2], -claimed_macs(facts).biases)


def _add_outside_leaves(code: str, kind: CauseKind, why: str, *, of_torch: bool) -> None:
    """Register the MACs that run outside leaf modules: in modules of ``torch.nn``, or in all others."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        inside = {path for facts in leaves(forward_pass).values() for path in facts.paths}
        for entry in forward_pass.entries:
            facts = forward_pass.module(entry.record.module)
            is_torch = facts is not None and facts.type.startswith("torch.nn.modules.")
            if entry.record.module not in inside and is_torch == of_torch:
                yield from mac_contributions((entry,))

    PEER.deviates(code, kind, why, where=_STATISTICS, versions=_VERSIONS)(rule)


_add_outside_leaves(
    "TI-LEAF",
    CauseKind.UNSUPPORTED_MODULE,
    "counts 0 for a torch.nn module with children, such as MultiheadAttention; a fused encoder layer is counted by its "
    "parts",
    of_torch=True,
)
_add_outside_leaves(
    "TI-CODE",
    CauseKind.FUNCTIONAL,
    "does not see what the model's own code computes (matmul, attention, functional calls)",
    of_torch=False,
)


@PEER.deviates(
    "TI-PARAMS",
    CauseKind.PARAMETERS,
    "counts a shared parameter once for each module that holds it; a module that was not called counts only as a "
    "leftover of its parent",
    where=_STATISTICS,
    versions=_VERSIONS,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the parameters that an earlier module holds too."""
    counted: set[int] = set()
    for facts in forward_pass.facts:
        for param in facts.params:
            if param.key in counted:
                yield Contribution(facts.path, param.name, -prod(param.shape))
            counted.add(param.key)


@PEER.deviates(
    "TI-PACKED",
    CauseKind.PARAMETERS,
    "does not see the weights that a quantized layer keeps packed",
    where=_STATISTICS,
    versions=_VERSIONS,
    quantity="params",
)
def packed(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the packed weights and biases of each layer."""
    for facts in forward_pass.facts:
        yield Contribution(facts.path, PARAMETER, num_elements(facts.packed))
