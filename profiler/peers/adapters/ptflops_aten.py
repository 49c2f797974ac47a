"""``ptflops`` with its backend ``aten``: a dispatch mode with a handful of formulas, and a bias is a MAC.

The model runs with gradients enabled, as its users call it; nothing is divided by the batch.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.parameters import frozen
from profiler.peers.emulation.ptflops_entry_point import complexity
from profiler.peers.emulation.unfuse import moved_macs, unfused
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, is_under
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.tally import Entry

PEER = Peer(
    "ptflops-aten",
    unit="MAC",
    distributions=("ptflops",),
    convention="MACs of mm, bmm, addmm and convolution, and each element of a bias; other operators do not count.",
)
_SEEN = "ptflops 0.7.5"
_TABLE = "ptflops/aten_ops.py: ATEN_OPS_MAPPING"
_KNOWN = frozenset({"aten.mm", "aten.bmm", "aten.addmm", "aten.convolution", "aten._convolution"})
_ATTENTION = ("aten._scaled_dot_product", "aten.scaled_dot_product", "aten._native_multi_head", "aten._flash_attention")
_REAL_PARTS = 4


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Count one forward pass; of the modules, what its mode keeps: the root's children."""
    from ptflops import aten_engine  # noqa: PLC0415 - the peer itself

    counters = []

    class Counter(aten_engine.FlopCounterMode):  # type: ignore[misc]
        """Stays at hand."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            counters.append(self)

    aten_engine.FlopCounterMode = Counter
    total, params = complexity(model, args, kwargs, "aten")
    sums = {name: sum(counts.values()) for name, counts in counters[0].flop_counts.items() if name != "Global"}
    return PeerResult(total, sums, params)


@PEER.deviates(
    "PTA-BIAS",
    CauseKind.BIAS,
    "adds the bias of a convolution, and whatever addmm adds, to the MACs",
    where="ptflops/aten_ops.py: addmm_flop, conv_flop_count",
    seen=_SEEN,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off an operation for each element that something is added to."""
    return _shares(forward_pass, _is_known, lambda entry: -_biases(entry))


@PEER.deviates(
    "PTA-ATTENTION",
    CauseKind.UNSUPPORTED,
    "has no formula for scaled dot-product attention in one operator",
    where=_TABLE,
    seen=_SEEN,
)
def attention(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out fused attention."""
    return _shares(forward_pass, lambda e: e.record.packet.startswith(_ATTENTION), lambda entry: entry.macs)


@PEER.deviates(
    "PTA-OPS",
    CauseKind.UNSUPPORTED,
    "has no formula for this contraction: baddbmm, products with a vector, an LSTM in one operator and others",
    where=_TABLE,
    seen=_SEEN,
)
def others(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out every other contraction that its table lacks."""
    return _shares(
        forward_pass, lambda e: not (_is_known(e) or e.record.packet.startswith(_ATTENTION)), lambda entry: entry.macs
    )


@PEER.deviates(
    "PTA-COMPLEX",
    CauseKind.DTYPE,
    "counts a product of complex numbers as one of real ones",
    where="ptflops/aten_ops.py: matmul_flop reads the shapes alone",
    seen=_SEEN,
)
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the other three real products of each complex one."""
    return _shares(
        forward_pass, lambda e: _is_known(e) and e.dtype.startswith("complex"), lambda e: e.macs - e.macs // _REAL_PARTS
    )


@PEER.deviates(
    "PTA-SPARSE",
    CauseKind.SPARSE,
    "counts a product with a sparse matrix as if it were dense",
    where="ptflops/aten_ops.py: matmul_flop reads the shapes alone",
    seen=_SEEN,
)
def sparse(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off the products with elements that are not stored."""
    return _shares(forward_pass, _is_sparse, lambda entry: entry.macs - _dense(entry))


@PEER.deviates(
    "PTA-FASTPATH",
    CauseKind.FUSED,
    "runs with gradients enabled, and so finds the layers of an encoder layer, where we saw one operator",
    where="ptflops/aten_engine.py: get_flops_aten",
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to its layers."""
    return moved_macs(forward_pass, hooks=False)


@PEER.deviates(
    "PTA-ALIAS",
    CauseKind.ALIAS,
    "counts for a child of the model all its calls, from wherever: also under another name, and twice within itself",
    where="ptflops/aten_engine.py: FlopCounterMode.__init__",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move what a child does under another name to its own, and leave the whole as it is."""
    for entry in filter(_is_known, _met(forward_pass).entries):
        for facts in forward_pass.ancestors(entry.record.module):
            row = next((name for name in facts.paths if name and "." not in name), None)
            if row is not None and not is_under(entry.record.module, row):
                amount = entry.record.calls * (_dense(entry) + _biases(entry))
                yield Contribution(row, entry.record.packet, -amount)
                yield Contribution("", entry.record.packet, amount)


@PEER.deviates(
    "PTA-PARAMS",
    CauseKind.PARAMETERS,
    "counts trainable parameters alone: not frozen ones, nor those of quantized layers",
    where="ptflops/pytorch_engine.py: get_model_parameters_number",
    seen=_SEEN,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what is frozen."""
    return frozen(forward_pass)


def _met(forward_pass: ForwardPass) -> ForwardPass:
    return unfused(forward_pass, hooks=False)


def _shares(
    forward_pass: ForwardPass, chosen: Callable[[Entry], bool], amount: Callable[[Entry], int]
) -> Iterator[Contribution]:
    """Share out an amount of each call of the chosen operators, as they run with gradients enabled."""
    for entry in filter(chosen, _met(forward_pass).entries):
        yield Contribution(entry.record.module, entry.record.packet, entry.record.calls * amount(entry))


def _is_known(entry: Entry) -> bool:
    return entry.record.packet in _KNOWN


def _biases(entry: Entry) -> int:
    """Count the elements that a bias is added to: by addmm always."""
    given = dict(entry.record.arguments)
    adds = entry.record.packet == "aten.addmm" or given.get("bias") is not None
    return prod(tensors(entry.record.results[0])[0].shape) * adds


def _is_sparse(entry: Entry) -> bool:
    specs = (spec for _, value in entry.record.arguments for spec in tensors(value))
    return _is_known(entry) and any(spec.layout.startswith("sparse") for spec in specs)


def _dense(entry: Entry) -> int:
    """Count the products of a known operator as its formula does: real and dense."""
    if not _is_sparse(entry):
        return entry.macs // (_REAL_PARTS if entry.dtype.startswith("complex") else 1)
    *_, left, right = (v for _, v in entry.record.arguments if isinstance(v, TensorSpec))
    return prod(left.shape) * right.shape[-1]
