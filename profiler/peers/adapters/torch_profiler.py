"""``torch.profiler`` with ``with_flops``: the FLOPs of seven operators, including those that run inside kernels.

The table is in C++ and looks up the operator's name: ``conv2d``, ``mm``, ``addmm``, ``bmm``, ``baddbmm``, ``mul`` and
``add``; ``mul_`` is not in it. It reports no modules. Unlike a dispatch mode, the profiler sees operators that a kernel
calls: the products of fused attention, or the sum of an LSTM's two biases.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.forward_pass import contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.tally.tally import cost_record
from profiler.values.findings import CauseKind, Contribution
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.tally import Entry
    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import OpRecord

PEER = Peer(
    "torch_profiler",
    unit="FLOP",
    distributions=("torch",),
    convention=(
        "Two FLOPs for each multiply-add of conv2d, mm, addmm, bmm and baddbmm, also inside kernels; "
        "one for each element of the first operand of add and mul."
    ),
)

_CONVOLUTION = "aten.convolution"
_PRODUCTS = frozenset({"aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm"})
_ELEMENTWISE = frozenset({"aten.add", "aten.mul"})
_ENCODER_LAYER = "aten._transformer_encoder_layer_fwd"
#: Operators whose kernels call the products above.
_MADE_OF_PRODUCTS = frozenset({
    _ENCODER_LAYER, "aten._native_multi_head_attention", "aten._euclidean_dist", "aten._trilinear",
})  # fmt: skip
#: Composite operators that use ``add_``, but ``add`` under a dispatch mode. Source: areAnyTensorSubclassLike in ATen.
_IN_PLACE = frozenset({"aten.linear", "aten.scaled_dot_product_attention"})
_RECURRENT = frozenset({"aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn", "aten._lstm_mps"})


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Profile one forward pass without gradients."""
    import torch  # noqa: PLC0415 - imported where the peer runs, not where it is listed

    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=cpu, with_flops=True) as profile:
        model(*args, **kwargs)
    return PeerResult(sum(event.flops for event in profile.key_averages()))


def _deviates(code: str, kind: CauseKind, why: str, where: str = "computeFlops") -> Callable[..., Any]:
    return PEER.deviates(code, kind, why, where=f"torch/csrc/profiler/util.cpp: {where}", versions="2.11 to 2.15")


@_deviates("TPROF-ELEM", CauseKind.CONVENTION, "counts no arithmetic but products, add and mul")
def elementwise(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the FLOPs of norms, activations, softmax, pooling and all other arithmetic."""
    counted = _ELEMENTWISE | _PRODUCTS | {_CONVOLUTION}
    return contributions(_entries_except(forward_pass, counted), lambda e: e.other_flops)


@_deviates("TPROF-BIAS", CauseKind.BIAS, "does not count the addition of a bias")
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the FLOPs of products and convolutions that are not MACs."""
    return contributions(_entries_of(forward_pass, _PRODUCTS | {_CONVOLUTION}), lambda e: e.other_flops)


@_deviates(
    "TPROF-OPERAND",
    CauseKind.BROADCAST,
    "counts add and mul by the elements of the first operand, ignoring broadcasting, alpha and complex numbers",
)
def first_operand(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the FLOPs of add and mul minus the elements of the first operand."""
    return contributions(
        _entries_of(forward_pass, _ELEMENTWISE), lambda e: e.other_flops - prod(_tensor(e.record, "self").shape)
    )


@_deviates(
    "TPROF-INPLACE",
    CauseKind.UNSUPPORTED,
    "does not have add_ in its table, by which linear and attention add bias and mask; in our run they use add",
)
def in_place(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the sums that a composite operator computes in place if no dispatch mode is active."""
    recorded = {replace(entry.record, calls=0) for entry in forward_pass.entries}
    for call in forward_pass.composite_calls:
        sums = [part for part in call.parts if part.packet == "aten.add" and call.record.packet in _IN_PLACE]
        for part in sums:
            if replace(part, calls=0) in recorded:  # otherwise a fused fast path ran instead
                times = call.record.calls * part.calls
                yield Contribution(part.module, part.packet, times * prod(_tensor(part, "self").shape))


@_deviates(
    "TPROF-CONV",
    CauseKind.UNSUPPORTED,
    "counts conv2d only: conv1d, conv3d, transposed convolutions, padding='same' and unbatched inputs count as 0",
)
def convolutions(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of convolutions that are not a plain ``conv2d``."""
    for call in forward_pass.composite_calls:
        parts = [part for part in call.parts if part.packet == _CONVOLUTION and not _is_plain_conv2d(call)]
        for part in parts:
            yield Contribution(part.module, part.packet, 2 * call.record.calls * part.calls * cost_record(part).macs)


@_deviates("TPROF-SDPA", CauseKind.ATTENTION, "counts 0 for attention that runs as one kernel")
def attention(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of fused ``scaled_dot_product_attention``."""
    return contributions(filter(_is_attention, forward_pass.entries), _mac_flops)


@_deviates("TPROF-RNN", CauseKind.RECURRENT, "counts 0 for an LSTM that runs as one kernel")
def recurrent(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of fused recurrent layers."""
    return contributions(_entries_of(forward_pass, _RECURRENT), _mac_flops)


@_deviates("TPROF-OPS", CauseKind.UNSUPPORTED, "does not have these operators in its table (mv, dot, addmm_, …)")
def unsupported(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of all other operators."""
    others = _entries_except(forward_pass, _PRODUCTS | _MADE_OF_PRODUCTS | _RECURRENT | {_CONVOLUTION})
    return contributions((entry for entry in others if not _is_attention(entry)), _mac_flops)


@_deviates(
    "TPROF-EPILOGUE",
    CauseKind.UNSUPPORTED,
    "does not have _addmm_activation in its table, by which the fused encoder layer runs its first linear layer",
)
def epilogue(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of ``_addmm_activation``: each token times the weight of the first linear layer."""
    return contributions(
        _entries_of(forward_pass, {_ENCODER_LAYER}),
        lambda e: 2 * _tensor(e.record, "src").elements * _tensor(e.record, "ffn_weight_1").shape[0],
    )


@_deviates("TPROF-COMPLEX", CauseKind.DTYPE, "counts a complex multiply-add as one real multiply-add")
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield three of the four products of a complex product, and two of the three of a complex convolution."""
    products = (e for e in _entries_of(forward_pass, _PRODUCTS) if e.dtype.startswith("complex"))
    yield from contributions(products, lambda e: 2 * (e.macs - e.macs // 4))
    for call in filter(_is_plain_conv2d, forward_pass.composite_calls):
        parts = [part for part in call.parts if part.packet == _CONVOLUTION]
        times = sum(part.calls for part in parts)
        for part in parts:
            extra = 2 * part.calls * cost_record(part).macs * (times - 1) // times
            yield Contribution(part.module, part.packet, call.record.calls * extra)


@_deviates(
    "TPROF-INSIDE",
    CauseKind.CONVENTION,
    "counts each add and mul inside a kernel: of an LSTM's two biases, of sizes in repeat, of a factor in cdist",
    where="saveExtraArgs",
)
def inside(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the additions and multiplications that a kernel runs beside its products."""
    return contributions(_entries_of(forward_pass, _INSIDE), lambda e: -_INSIDE[e.record.packet](e.record))


#: The elements of ``add`` and ``mul`` inside one call of an operator.
_INSIDE: dict[str, Callable[[OpRecord], int]] = {
    "aten.mkldnn_rnn_layer": lambda r: _tensor(r, "weight2").elements if _argument(r, "has_biases") else 0,
    "aten.repeat": lambda r: len(_argument(r, "repeats")),
    "aten._euclidean_dist": lambda r: prod(_tensor(r, "x1").shape),
}


def _is_plain_conv2d(call: CompositeCall) -> bool:
    """Return whether a call is a ``conv2d`` with numeric padding and a batched input."""
    is_conv2d = call.record.operator == "aten.conv2d.default"
    return is_conv2d and len(_tensor(call.record, "input").shape) == 4  # noqa: PLR2004 - batch, channels, height, width


def _is_attention(entry: Entry) -> bool:
    return "scaled_dot_product" in entry.record.packet


def _entries_of(forward_pass: ForwardPass, packets: Collection[str]) -> Iterator[Entry]:
    return (entry for entry in forward_pass.entries if entry.record.packet in packets)


def _entries_except(forward_pass: ForwardPass, packets: Collection[str]) -> Iterator[Entry]:
    return (entry for entry in forward_pass.entries if entry.record.packet not in packets)


def _mac_flops(entry: Entry) -> int:
    return 2 * entry.macs


def _argument(record: OpRecord, name: str) -> Any:
    return dict(record.arguments)[name]


def _tensor(record: OpRecord, name: str) -> TensorSpec:
    spec = _argument(record, name)
    assert isinstance(spec, TensorSpec)  # noqa: S101 - the operator's schema says so
    return spec
