"""``torch.utils.flop_counter.FlopCounterMode``: contractions alone, at two FLOPs for each MAC.

It has a table of formulas and counts nothing else, so a departure here is a family of operators that the table lacks,
or an operand that its formulas do not look at. Masks are no departure: both sides count attention as if unmasked.
Backward passes are not compared, since a comparison runs a forward pass.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.flop_counter import flop_registry

from profiler.formulas import RuleKind
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, is_under
from profiler.values.records import tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.tally import Entry
    from profiler.trace.module_facts import ModuleFacts

PEER = Peer(
    "flop_counter",
    unit="FLOP",
    distributions=("torch",),
    convention="Two FLOPs for each multiply-add of the contractions that it has a formula for; nothing else counts.",
)
_SEEN = "2.11 to 2.15"
_TABLE = "torch/utils/flop_counter.py: flop_registry"
_ROOT = "Global"

_FUSED = frozenset({"aten._native_multi_head_attention", "aten._transformer_encoder_layer_fwd"})
_RECURRENT = frozenset({"aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn", "aten._lstm_mps"})
_VECTORS = frozenset({"aten.mv", "aten.addmv", "aten.dot", "aten.vdot", "aten.addbmm"})
_GROUPED = frozenset({"aten._grouped_mm", "aten._scaled_grouped_mm", "aten._scaled_grouped_mm_v2"})
_PACKED = ("quantized.", "aten.quantized_", "aten._int_mm", "aten._weight_int", "aten._dyn_quant", "aten._mixed_dtypes")
_SPARSE = ("aten._sparse", "aten.sspaddmm", "aten.hspmm", "aten.sparse_sampled_addmm", "aten._cslt_sparse")
_BIASED = ("addmm", "addbmm", "baddbmm", "addmv", "convolution", "linear", "conv_tbc")


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Run one forward pass under the mode."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - the peer itself

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args, **kwargs)
    modules = {_path(name, model): sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    return PeerResult(counter.get_total_flops(), {path: count for path, count in modules.items() if path is not None})


def _path(name: str, model: nn.Module) -> str | None:
    """Take the root's class off the name that the mode gives a module; None for what is no path."""
    if name == _ROOT:
        return ""
    root, _, path = name.partition(".")
    return path if root == type(model).__name__ else None


@PEER.deviates(
    "FCM-ELEMENTWISE",
    CauseKind.CONVENTION,
    "counts contractions alone: activations, norms, softmax, pooling and other arithmetic are left out",
    where=_TABLE,
    seen=_SEEN,
)
def elementwise(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what is neither a MAC nor a bias."""
    return _shares((e for e in forward_pass.entries if not _adds_bias(e)), lambda e: e.other_flops)


@PEER.deviates(
    "FCM-BIAS",
    CauseKind.BIAS,
    "leaves out the bias, and the scaling, of a matrix product or convolution",
    where="torch/utils/flop_counter.py: addmm_flop, conv_flop_count",
    seen=_SEEN,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what a contraction computes beside its MACs."""
    return _shares(filter(_adds_bias, forward_pass.entries), lambda e: e.other_flops)


@PEER.deviates(
    "FCM-FASTPATH",
    CauseKind.FUSED,
    "has no formula for the fused fast path of attention and encoder layers, taken in eval mode without gradients",
    where=_TABLE,
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of fused attention and encoder layers."""
    return _left_out(forward_pass, lambda packet: packet in _FUSED)


@PEER.deviates(
    "FCM-RNN",
    CauseKind.UNSUPPORTED,
    "has no formula for a recurrent layer that arrives as one operator, as an LSTM does on the CPU",
    where=_TABLE,
    seen=_SEEN,
)
def recurrent(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of whole recurrent layers."""
    return _left_out(forward_pass, lambda packet: packet in _RECURRENT)


@PEER.deviates(
    "FCM-GEMV",
    CauseKind.UNSUPPORTED,
    "has no formula for products with a vector (mv, addmv, dot, vdot), nor for addbmm",
    where=_TABLE,
    seen=_SEEN,
)
def vectors(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out products with vectors."""
    return _left_out(forward_pass, lambda packet: packet in _VECTORS)


@PEER.deviates(
    "FCM-INPLACE",
    CauseKind.UNSUPPORTED,
    "has no formula for a product that is added in place (addmm_, baddbmm_)",
    where=_TABLE,
    seen=_SEEN,
)
def in_place(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the in-place forms of operators that do have a formula."""
    return _left_out(forward_pass, lambda packet: packet.removesuffix("_") in _table())


@PEER.deviates(
    "FCM-MOE",
    CauseKind.UNSUPPORTED,
    "has no formula for the grouped product of a mixture of experts",
    where=_TABLE,
    seen=_SEEN,
)
def group_entries(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out grouped products."""
    return _left_out(forward_pass, lambda packet: packet in _GROUPED)


@PEER.deviates(
    "FCM-INT",
    CauseKind.UNSUPPORTED,
    "has no formula for products of integers and of quantized or packed weights",
    where=_TABLE,
    seen=_SEEN,
)
def integers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out quantized and integer contractions."""
    return _left_out(forward_pass, lambda packet: packet.startswith(_PACKED))


@PEER.deviates(
    "FCM-SPARSE-OPS",
    CauseKind.SPARSE,
    "has no formula for the operators of sparse matrices",
    where=_TABLE,
    seen=_SEEN,
)
def sparse_operators(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what only sparse matrices have."""
    return _left_out(forward_pass, lambda packet: packet.startswith(_SPARSE))


@PEER.deviates(
    "FCM-OTHER",
    CauseKind.UNSUPPORTED,
    "has no formula for this contraction (bilinear forms, distances, transforms, solvers, conv_tbc …)",
    where=_TABLE,
    seen=_SEEN,
)
def others(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out every other contraction that the table lacks."""
    named = _FUSED | _RECURRENT | _VECTORS | _GROUPED

    def is_other(packet: str) -> bool:
        return not (packet in named or packet.startswith((*_PACKED, *_SPARSE)) or packet.removesuffix("_") in _table())

    return _left_out(forward_pass, is_other)


@PEER.deviates(
    "FCM-SPARSE",
    CauseKind.SPARSE,
    "counts a product with a sparse operand as if it were dense",
    where="torch/utils/flop_counter.py: mm_flop reads the shapes alone",
    seen=_SEEN,
)
def sparse(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off the products with elements that are not stored."""
    return _shares(filter(_is_sparse, forward_pass.entries), lambda e: 2 * e.macs - _claimed(e))


@PEER.deviates(
    "FCM-COMPLEX",
    CauseKind.DTYPE,
    "counts a product of complex numbers as one of real numbers, a quarter of its MACs",
    where="torch/utils/flop_counter.py: mm_flop reads the shapes alone",
    seen=_SEEN,
)
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the other three real products of each complex one."""
    entries = (e for e in forward_pass.entries if _is_known(e) and not _is_sparse(e))
    return _shares(entries, lambda e: 2 * e.macs - _claimed(e))


@PEER.deviates(
    "FCM-ALIAS",
    CauseKind.ALIAS,
    "puts all calls of a module that has several names under one of these",
    where="torch/utils/module_tracker.py: ModuleTracker._get_mod_name",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the work of a shared module to the row that the tracker keeps for it, and take it off what is around that."""
    for entry in filter(_is_known, forward_pass.entries):
        path, operator = entry.record.module, entry.record.packet
        amount = entry.record.calls * _claimed(entry)
        for facts in forward_pass.ancestors(path):
            row = _tracked_name(facts, forward_pass)
            if not is_under(path, row):
                yield Contribution(row, operator, -amount)
                yield Contribution(row.rpartition(".")[0], operator, amount)


def _tracked_name(facts: ModuleFacts, forward_pass: ForwardPass) -> str:
    """Give the name under which the tracker keeps a module.

    It names the children of a module when it first meets that, each once, and a later parent overrules an earlier one.
    """
    by_parent: dict[str, str] = {}
    for name in facts.paths:
        parent = name.rpartition(".")[0]
        if forward_pass.by_path[parent].path == parent:
            by_parent.setdefault(parent, name)
    return list(by_parent.values())[-1]


def _shares(entries: Iterable[Entry], amount: Callable[[Entry], int]) -> Iterator[Contribution]:
    """Share out an amount of each call of *entries*."""
    return (Contribution(e.record.module, e.record.packet, e.record.calls * amount(e)) for e in entries)


def _left_out(forward_pass: ForwardPass, has: Callable[[str], bool]) -> Iterator[Contribution]:
    """Leave out the MACs of the operators without a formula for whose name *has* is true."""
    entries = (e for e in forward_pass.entries if not _is_known(e) and has(e.record.packet))
    return _shares(entries, lambda e: 2 * e.macs)


def _claimed(entry: Entry) -> int:
    """Say what the counter's own formula gives for one call: real and dense."""
    if _is_sparse(entry):
        *_, left, right = (spec for _, value in entry.record.arguments for spec in tensors(value))
        return 2 * prod(left.shape) * right.shape[-1]
    return 2 * entry.macs // (4 if entry.dtype.startswith("complex") else 1)


def _is_known(entry: Entry) -> bool:
    """Say whether the counter has a formula, of its own or registered by somebody."""
    return entry.kind == RuleKind.TORCH_REGISTRY or entry.record.packet.removeprefix("higher_order.") in _table()


def _is_sparse(entry: Entry) -> bool:
    """Say whether a product that the counter knows has a sparse operand."""
    specs = (spec for _, value in entry.record.arguments for spec in tensors(value))
    return _is_known(entry) and any(spec.layout.startswith("sparse") for spec in specs)


def _adds_bias(entry: Entry) -> bool:
    """Say whether an operator is a product that adds something to it."""
    name = entry.record.operator.split(".")[1]
    return entry.macs > 0 and any(word in name for word in _BIASED)


@cache
def _table() -> frozenset[str]:
    return frozenset(map(str, flop_registry))
