"""``ptflops`` with its ``aten`` backend: a dispatch mode with a few formulas, in which each bias element is a MAC.

The model runs with gradients enabled, as users of ptflops call it. Nothing is divided by the batch size.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.parameters import frozen_parameters
from profiler.peers.emulation.ptflops_entry_point import run_ptflops
from profiler.peers.emulation.shape_formulas import has_sparse_operand, is_complex, macs_of_shapes
from profiler.peers.emulation.unfuse import moved_macs, unfused
from profiler.peers.forward_pass import contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, is_under
from profiler.values.records import tensors

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
_VERSIONS = "ptflops 0.7.5"
_TABLE = "ptflops/aten_ops.py: ATEN_OPS_MAPPING"
_WITH_FORMULA = frozenset({"aten.mm", "aten.bmm", "aten.addmm", "aten.convolution", "aten._convolution"})
_ATTENTION = ("aten._scaled_dot_product", "aten.scaled_dot_product", "aten._native_multi_head", "aten._flash_attention")


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Count one forward pass; its dispatch mode keeps counts for the direct children of the root only."""
    from ptflops import aten_engine  # noqa: PLC0415 - the peer itself

    counters = []

    class Counter(aten_engine.FlopCounterMode):  # type: ignore[misc]
        """Stores itself, so that its counts can be read afterwards."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            counters.append(self)

    aten_engine.FlopCounterMode = Counter
    total, params = run_ptflops(model, args, kwargs, "aten")
    sums = {name: sum(counts.values()) for name, counts in counters[0].flop_counts.items() if name != "Global"}
    return PeerResult(total, sums, params)


@PEER.deviates(
    "PTA-BIAS",
    CauseKind.BIAS,
    "adds the bias of a convolution, and the added matrix of addmm, to the MACs",
    where="ptflops/aten_ops.py: addmm_flop, conv_flop_count",
    versions=_VERSIONS,
)
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract one operation for each element to which a bias is added."""
    return _contributions(forward_pass, _has_formula, lambda entry: -_bias_elements(entry))


@PEER.deviates(
    "PTA-ATTENTION",
    CauseKind.UNSUPPORTED,
    "has no formula for scaled dot-product attention that runs as one operator",
    where=_TABLE,
    versions=_VERSIONS,
)
def attention(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of fused attention."""
    return _contributions(forward_pass, _is_attention, lambda entry: entry.macs)


@PEER.deviates(
    "PTA-OPS",
    CauseKind.UNSUPPORTED,
    "has no formula for this contraction: baddbmm, products with a vector, an LSTM in one operator, and others",
    where=_TABLE,
    versions=_VERSIONS,
)
def others(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of all other contractions without a formula."""
    return _contributions(
        forward_pass, lambda entry: not (_has_formula(entry) or _is_attention(entry)), lambda entry: entry.macs
    )


@PEER.deviates(
    "PTA-COMPLEX",
    CauseKind.DTYPE,
    "counts a complex multiply-add as one real multiply-add instead of four",
    where="ptflops/aten_ops.py: matmul_flop reads the shapes alone",
    versions=_VERSIONS,
)
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the other three real multiply-adds of each complex one."""
    return _contributions(
        forward_pass,
        lambda entry: _has_formula(entry) and is_complex(entry),
        lambda entry: entry.macs - entry.macs // 4,
    )


@PEER.deviates(
    "PTA-SPARSE",
    CauseKind.SPARSE,
    "counts a product with a sparse matrix as if it were dense",
    where="ptflops/aten_ops.py: matmul_flop reads the shapes alone",
    versions=_VERSIONS,
)
def sparse(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the products with elements that are not stored."""
    return _contributions(
        forward_pass,
        lambda entry: _has_formula(entry) and has_sparse_operand(entry),
        lambda entry: entry.macs - macs_of_shapes(entry),
    )


@PEER.deviates(
    "PTA-FASTPATH",
    CauseKind.FUSED,
    "runs with gradients enabled, so the layers inside an encoder layer run one by one; in our run they are one fused "
    "operator",
    where="ptflops/aten_engine.py: get_flops_aten",
    versions=_VERSIONS,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to the layers inside it."""
    return moved_macs(forward_pass, hooks=False)


@PEER.deviates(
    "PTA-ALIAS",
    CauseKind.ALIAS,
    "reports for a direct child of the model all its calls, including those under another name or in another child",
    where="ptflops/aten_engine.py: FlopCounterMode.__init__",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the work of a child's calls under another name to the child, and keep the total."""
    for entry in filter(_has_formula, unfused(forward_pass, hooks=False).entries):
        for facts in forward_pass.ancestors(entry.record.module):
            child = next((path for path in facts.paths if path and "." not in path), None)
            if child is not None and not is_under(entry.record.module, child):
                amount = entry.record.calls * (macs_of_shapes(entry) + _bias_elements(entry))
                yield Contribution(child, entry.record.packet, -amount)
                yield Contribution("", entry.record.packet, amount)


@PEER.deviates(
    "PTA-PARAMS",
    CauseKind.PARAMETERS,
    "counts trainable parameters only: no frozen parameters, and none of quantized layers",
    where="ptflops/pytorch_engine.py: get_model_parameters_number",
    versions=_VERSIONS,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the frozen parameters."""
    return frozen_parameters(forward_pass)


def _contributions(
    forward_pass: ForwardPass, applies: Callable[[Entry], bool], amount: Callable[[Entry], int]
) -> Iterator[Contribution]:
    """Yield an amount for each entry that *applies*, as the model runs with gradients enabled."""
    return contributions(filter(applies, unfused(forward_pass, hooks=False).entries), amount)


def _has_formula(entry: Entry) -> bool:
    return entry.record.packet in _WITH_FORMULA


def _is_attention(entry: Entry) -> bool:
    return entry.record.packet.startswith(_ATTENTION)


def _bias_elements(entry: Entry) -> int:
    """Return the number of elements to which a bias is added; addmm always adds one."""
    has_bias = entry.record.packet == "aten.addmm" or dict(entry.record.arguments).get("bias") is not None
    return prod(tensors(entry.record.results[0])[0].shape) * has_bias
