"""``torch.utils.flop_counter.FlopCounterMode``: contractions only, at two FLOPs per MAC.

It counts the operators for which it has a formula, and nothing else. So a deviation is a family of operators without a
formula, or a property of operands that its formulas ignore. Masks cause no deviation: both sides count attention as if
it were unmasked. Only forward passes are compared.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from profiler.formulas.rule_kind import RuleKind
from profiler.peers.emulation.module_tracker import tracked_path
from profiler.peers.emulation.shape_formulas import has_sparse_operand, macs_of_shapes
from profiler.peers.forward_pass import contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.tally.tally import cost_record
from profiler.values.findings import CauseKind, Contribution, is_under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.tally import Entry

PEER = Peer(
    "flop_counter",
    unit="FLOP",
    distributions=("torch",),
    convention="Two FLOPs for each multiply-add of the contractions that it has a formula for; nothing else counts.",
)
_VERSIONS = "2.11 to 2.15"
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
    """Run one forward pass under ``FlopCounterMode``."""
    import torch  # noqa: PLC0415 - imported where the peer runs, not where it is listed
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - the peer itself

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args, **kwargs)
    modules = {_path(name, model): sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    return PeerResult(counter.get_total_flops(), {path: n for path, n in modules.items() if path is not None})


def _path(name: str, model: nn.Module) -> str | None:
    """Return the path of a module by the mode's name for it, which begins with the root's class; None if it is none."""
    if name == _ROOT:
        return ""
    root, _, path = name.partition(".")
    return path if root == type(model).__name__ else None


@PEER.deviates(
    "FCM-ELEMENTWISE",
    CauseKind.CONVENTION,
    "counts only contractions: activations, norms, softmax, pooling and other arithmetic count as 0",
    where=_TABLE,
    versions=_VERSIONS,
)
def elementwise(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the FLOPs that are neither MACs nor the bias of a product."""
    return contributions((e for e in forward_pass.entries if not _adds_bias(e)), lambda e: e.other_flops)


@PEER.deviates(
    "FCM-BIAS",
    CauseKind.BIAS,
    "does not count the bias or the scaling factors (alpha, beta) of a matrix product or convolution",
    where="torch/utils/flop_counter.py: addmm_flop, conv_flop_count",
    versions=_VERSIONS,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the FLOPs of contractions that are not MACs."""
    return contributions(filter(_adds_bias, forward_pass.entries), lambda e: e.other_flops)


def _add_family(code: str, kind: CauseKind, why: str, contains: Callable[[str], bool]) -> None:
    """Register the MACs of a family of operators that have no formula as a deviation."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        entries = (e for e in forward_pass.entries if not _has_formula(e) and contains(e.record.packet))
        return contributions(entries, lambda e: 2 * e.macs)

    PEER.deviates(code, kind, why, where=_TABLE, versions=_VERSIONS)(rule)


def _is_in_place(packet: str) -> bool:
    return packet.removesuffix("_") in _table()


def _is_other(packet: str) -> bool:
    in_a_family = packet in _FUSED | _RECURRENT | _VECTORS | _GROUPED or packet.startswith((*_PACKED, *_SPARSE))
    return not in_a_family and not _is_in_place(packet)


_add_family(
    "FCM-FASTPATH",
    CauseKind.FUSED,
    "has no formula for the fused fast path of attention and encoder layers (eval mode without gradients)",
    lambda packet: packet in _FUSED,
)
_add_family(
    "FCM-RNN",
    CauseKind.UNSUPPORTED,
    "has no formula for a recurrent layer that runs as one operator, such as an LSTM on the CPU",
    lambda packet: packet in _RECURRENT,
)
_add_family(
    "FCM-GEMV",
    CauseKind.UNSUPPORTED,
    "has no formula for products with a vector (mv, addmv, dot, vdot) or for addbmm",
    lambda packet: packet in _VECTORS,
)
_add_family(
    "FCM-INPLACE",
    CauseKind.UNSUPPORTED,
    "has no formula for the in-place operators addmm_ and baddbmm_",
    _is_in_place,
)
_add_family(
    "FCM-MOE",
    CauseKind.UNSUPPORTED,
    "has no formula for the grouped matrix product of a mixture of experts",
    lambda packet: packet in _GROUPED,
)
_add_family(
    "FCM-INT",
    CauseKind.UNSUPPORTED,
    "has no formula for products of integers or of quantized or packed weights",
    lambda packet: packet.startswith(_PACKED),
)
_add_family(
    "FCM-SPARSE-OPS",
    CauseKind.SPARSE,
    "has no formula for operators on sparse matrices",
    lambda packet: packet.startswith(_SPARSE),
)
_add_family(
    "FCM-OTHER",
    CauseKind.UNSUPPORTED,
    "has no formula for this contraction (bilinear form, distance, transform, solver, conv_tbc, …)",
    _is_other,
)


@PEER.deviates(
    "FCM-SPARSE",
    CauseKind.SPARSE,
    "counts a product with a sparse operand as if it were dense",
    where="torch/utils/flop_counter.py: mm_flop reads the shapes alone",
    versions=_VERSIONS,
)
def sparse(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the products with elements that are not stored."""
    entries = (e for e in forward_pass.entries if _has_formula(e) and has_sparse_operand(e))
    return contributions(entries, _uncounted_flops)


@PEER.deviates(
    "FCM-DTENSOR",
    CauseKind.GLOBAL,
    "counts a product of distributed tensors with the shapes of the whole tensors, not of this rank's shards: where "
    "tensor parallelism divides it over tp ranks, each is given the work of all, tp times too much",
    where="torch/utils/flop_counter.py: FlopCounterMode.__torch_dispatch__ stands above DTensor",
    versions=_VERSIONS,
)
def distributed(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield, for each product of distributed tensors, what this rank multiplies less what all ranks do."""
    for call in forward_pass.distributed_calls:
        whole = cost_record(call.record)
        local = [entry for entry in map(cost_record, call.parts) if _has_formula(entry)]
        amount = sum(entry.record.calls * macs_of_shapes(entry) for entry in local)
        amount -= macs_of_shapes(whole) if _has_formula(whole) else 0
        yield Contribution(call.record.module, call.record.packet, 2 * call.record.calls * amount)


@PEER.deviates(
    "FCM-COMPLEX",
    CauseKind.DTYPE,
    "counts a complex multiply-add as one real multiply-add instead of four",
    where="torch/utils/flop_counter.py: mm_flop reads the shapes alone",
    versions=_VERSIONS,
)
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the other three real multiply-adds of each complex one."""
    entries = (e for e in forward_pass.entries if _has_formula(e) and not has_sparse_operand(e))
    return contributions(entries, _uncounted_flops)


def _uncounted_flops(entry: Entry) -> int:
    return 2 * (entry.macs - macs_of_shapes(entry))


@PEER.deviates(
    "FCM-ALIAS",
    CauseKind.ALIAS,
    "reports all calls of a module that has several names under one of them",
    where="torch/utils/module_tracker.py: ModuleTracker._get_mod_name",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the work of a shared module to the path under which the tracker reports it; keep the parent's total."""
    for entry in filter(_has_formula, forward_pass.entries):
        path, operator = entry.record.module, entry.record.packet
        amount = entry.record.calls * 2 * macs_of_shapes(entry)
        for facts in forward_pass.ancestors(path):
            tracked = tracked_path(facts, forward_pass)
            if not is_under(path, tracked):
                yield Contribution(tracked, operator, -amount)
                yield Contribution(tracked.rpartition(".")[0], operator, amount)


def _has_formula(entry: Entry) -> bool:
    """Return whether the counter has a formula for an operator, built in or registered by a user."""
    return entry.kind == RuleKind.TORCH_REGISTRY or entry.record.packet.removeprefix("higher_order.") in _table()


def _adds_bias(entry: Entry) -> bool:
    """Return whether an operator is a contraction that can add a bias."""
    name = entry.record.operator.split(".")[1]
    return entry.macs > 0 and any(word in name for word in _BIASED)


@cache
def _table() -> frozenset[str]:
    from torch.utils.flop_counter import flop_registry  # noqa: PLC0415 - imports triton, where that is installed

    return frozenset(map(str, flop_registry))
