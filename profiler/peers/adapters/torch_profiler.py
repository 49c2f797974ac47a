"""``torch.profiler`` with ``with_flops``: what seven operators do, wherever they are called, inside kernels too.

The table is in C++ and goes by the operator's name: ``conv2d``, ``mm``, ``addmm``, ``bmm``, ``baddbmm``, ``mul`` and
``add``; ``mul_`` is another name. It gives no numbers by module. Unlike what dispatches operators, it sees those that a
kernel calls: the products of fused attention, or the sum of an LSTM's two biases.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from profiler.peers.peer import Peer, PeerResult
from profiler.tally.tally import cost_record
from profiler.values.findings import CauseKind, Contribution
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

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
#: Operators whose kernels call those above for their products.
_MADE_OF_PRODUCTS = frozenset({
    _ENCODER_LAYER, "aten._native_multi_head_attention", "aten._euclidean_dist", "aten._trilinear",
})  # fmt: skip
#: Composite operators that choose between ``add_`` and ``add``. Source: areAnyTensorSubclassLike in ATen.
_IN_PLACE = frozenset({"aten.linear", "aten.scaled_dot_product_attention"})
_RECURRENT = frozenset({"aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn", "aten._lstm_mps"})


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Profile one forward pass without gradients."""
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.no_grad(), torch.profiler.profile(activities=cpu, with_flops=True) as profile:
        model(*args, **kwargs)
    return PeerResult(sum(event.flops for event in profile.key_averages()))


def _departs(code: str, kind: CauseKind, why: str, where: str = "computeFlops") -> Callable[..., Any]:
    return PEER.deviates(code, kind, why, where=f"torch/csrc/profiler/util.cpp: {where}", seen="2.11 to 2.15")


@_departs("TPROF-ELEM", CauseKind.CONVENTION, "counts add and mul alone of all arithmetic that is no product")
def elementwise(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out norms, activations, softmax, pooling and all the rest."""
    counted = _ELEMENTWISE | _PRODUCTS | {_CONVOLUTION}
    return _shares(_but(forward_pass, counted), lambda e: e.other_flops)


@_departs("TPROF-BIAS", CauseKind.BIAS, "does not count the addition of a bias")
def bias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what is added to the products."""
    return _shares(_of(forward_pass, _PRODUCTS | {_CONVOLUTION}), lambda e: e.other_flops)


@_departs(
    "TPROF-OPERAND",
    CauseKind.BROADCAST,
    "counts add and mul by the first operand: what is broadcast, a factor alpha and complex numbers are not seen",
)
def first_operand(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Count the elements of the first operand."""
    return _shares(_of(forward_pass, _ELEMENTWISE), lambda e: e.other_flops - prod(_tensor(e.record, "self").shape))


@_departs(
    "TPROF-INPLACE",
    CauseKind.UNSUPPORTED,
    "has add_ not in its table, with which linear and attention add bias and mask; watched by us, they use add instead",
)
def in_place(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the sums that a composite operator makes in place where no dispatch mode is active."""
    ours = {replace(entry.record, calls=0) for entry in forward_pass.entries}
    for whole in forward_pass.composite_calls:
        sums = [part for part in whole.parts if part.packet == "aten.add" and whole.record.packet in _IN_PLACE]
        for part in sums:
            if replace(part, calls=0) in ours:  # and not on a fast path instead
                times = whole.record.calls * part.calls
                yield Contribution(part.module, part.packet, times * prod(_tensor(part, "self").shape))


@_departs(
    "TPROF-CONV",
    CauseKind.UNSUPPORTED,
    "counts conv2d alone: conv1d, conv3d, transposed ones, padding by name and an input without batch give 0",
)
def convolutions(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out convolutions that anything but a plain ``conv2d`` made."""
    for whole in forward_pass.composite_calls:
        parts = [part for part in whole.parts if part.packet == _CONVOLUTION and not _is_plain_conv2d(whole)]
        for part in parts:
            yield Contribution(part.module, part.packet, 2 * whole.record.calls * part.calls * cost_record(part).macs)


@_departs("TPROF-SDPA", CauseKind.ATTENTION, "counts nothing of an attention that runs as one kernel")
def attention(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the products of fused ``scaled_dot_product_attention``."""
    return _shares(filter(_is_attention, forward_pass.entries), lambda e: 2 * e.macs)


@_departs("TPROF-RNN", CauseKind.RECURRENT, "counts nothing of an LSTM that runs as one kernel")
def recurrent(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the products of fused recurrent layers."""
    return _shares(_of(forward_pass, _RECURRENT), lambda e: 2 * e.macs)


@_departs("TPROF-OPS", CauseKind.UNSUPPORTED, "has these operators not in its table: mv, dot, addmm_ and others")
def unsupported(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the products of everything else."""
    other = _but(forward_pass, _PRODUCTS | _MADE_OF_PRODUCTS | _RECURRENT | {_CONVOLUTION})
    return _shares((e for e in other if not _is_attention(e)), lambda e: 2 * e.macs)


@_departs(
    "TPROF-EPILOGUE",
    CauseKind.UNSUPPORTED,
    "has not in its table how the fused encoder layer runs its first linear layer, activation and all",
)
def epilogue(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the products of ``_addmm_activation`` inside: those of each token with the first layer's weight."""
    return _shares(
        _of(forward_pass, {_ENCODER_LAYER}),
        lambda e: 2 * _tensor(e.record, "src").elements * _tensor(e.record, "ffn_weight_1").shape[0],
    )


@_departs("TPROF-COMPLEX", CauseKind.DTYPE, "counts a product of complex numbers as a real one")
def complex_numbers(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Count one multiply-add where a complex product takes four, one convolution where a complex one takes three."""
    products = (e for e in _of(forward_pass, _PRODUCTS) if e.dtype.startswith("complex"))
    yield from _shares(products, lambda e: 2 * (e.macs - e.macs // 4))
    for whole in filter(_is_plain_conv2d, forward_pass.composite_calls):
        convolutions = [part for part in whole.parts if part.packet == _CONVOLUTION]
        times = sum(part.calls for part in convolutions)
        for part in convolutions:
            extra = 2 * part.calls * cost_record(part).macs * (times - 1) // times
            yield Contribution(part.module, part.packet, whole.record.calls * extra)


@_departs(
    "TPROF-INSIDE",
    CauseKind.CONVENTION,
    "counts each add and mul that a kernel calls: of an LSTM's two biases, of dimensions in repeat, of cdist's factor",
    where="saveExtraArgs",
)
def inside(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add what a kernel runs beside its products."""
    return _shares(_of(forward_pass, _EXTRAS), lambda e: -_EXTRAS[e.record.packet](e.record))


#: The elements of ``add`` and ``mul`` inside one call.
_EXTRAS: dict[str, Callable[[OpRecord], int]] = {
    "aten.mkldnn_rnn_layer": lambda r: _tensor(r, "weight2").elements if _argument(r, "has_biases") else 0,
    "aten.repeat": lambda r: len(_argument(r, "repeats")),
    "aten._euclidean_dist": lambda r: prod(_tensor(r, "x1").shape),
}


def _is_plain_conv2d(whole: CompositeCall) -> bool:
    plain = whole.record.operator == "aten.conv2d.default"
    return plain and len(_tensor(whole.record, "input").shape) == 4  # noqa: PLR2004 - batch, channels, height, width


def _is_attention(entry: Entry) -> bool:
    return "scaled_dot_product" in entry.record.packet


def _of(forward_pass: ForwardPass, packets: Collection[str]) -> Iterator[Entry]:
    return (entry for entry in forward_pass.entries if entry.record.packet in packets)


def _but(forward_pass: ForwardPass, packets: Collection[str]) -> Iterator[Entry]:
    return (entry for entry in forward_pass.entries if entry.record.packet not in packets)


def _shares(entries: Iterable[Entry], amount: Callable[[Entry], int]) -> Iterator[Contribution]:
    return (Contribution(e.record.module, e.record.packet, e.record.calls * amount(e)) for e in entries)


def _argument(record: OpRecord, name: str) -> Any:
    return dict(record.arguments)[name]


def _tensor(record: OpRecord, name: str) -> TensorSpec:
    spec = _argument(record, name)
    assert isinstance(spec, TensorSpec)  # noqa: S101 - the operator's schema says so
    return spec
