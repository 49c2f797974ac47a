"""Classes of operators: those of one class reach similar shares of a device's peak rates.

A class whose efficiency is not known takes that of the class that is more general: see ``MORE_GENERAL``.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from profiler.formulas import RuleKind
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from profiler.tally import Entry

#: Each class, and the class whose efficiency stands for its own where that is not known; "" is the most general.
MORE_GENERAL: dict[str, str] = {
    "matmul": "",
    "matvec": "matmul",
    "batched_matmul": "matmul",
    "attention": "batched_matmul",
    "recurrent": "matmul",
    "conv": "matmul",
    "conv_1x1": "conv",
    "conv_1x1_padded": "conv_1x1",
    "conv_few_channels": "conv",
    "conv_grouped": "conv",
    "conv_grouped_padded": "conv_grouped",
    "depthwise_3x3": "conv_grouped",
    "depthwise_5x5": "depthwise_3x3",
    "depthwise_7x7": "depthwise_5x5",
    "depthwise_large": "depthwise_7x7",
    "conv_backward": "conv",
    "conv_1x1_backward": "conv_backward",
    "conv_few_channels_backward": "conv_backward",
    "conv_grouped_backward": "conv_backward",
    "depthwise_3x3_backward": "conv_grouped_backward",
    "depthwise_5x5_backward": "depthwise_3x3_backward",
    "depthwise_7x7_backward": "depthwise_5x5_backward",
    "depthwise_large_backward": "depthwise_7x7_backward",
    "pointwise": "",
    "cast": "pointwise",
    "copy": "pointwise",
    "norm": "pointwise",
    "layer_norm_short": "norm",
    "norm_backward": "norm",
    "group_norm": "norm",
    "group_norm_backward": "norm_backward",
    "batch_norm": "norm",
    "batch_norm_backward": "batch_norm",
    "reduction": "norm",
    "pooling": "norm",
    "average_pooling": "pooling",
    "upsample": "pooling",
    "embedding": "copy",
    "sort": "norm",
    "optimizer": "pointwise",
    "communication": "copy",
    "fused_pointwise": "pointwise",
    "fused_cast": "cast",
    "fused_copy": "copy",
    "fused_reduction": "norm",
    "other": "norm",
}
#: Added to the class of a depthwise convolution whose image has its channels last in an eager run.
CHANNELS_LAST = "_channels_last"
MORE_GENERAL |= {name + CHANNELS_LAST: name for name in MORE_GENERAL if name.startswith("depthwise")}

_MATMULS = frozenset({"mm", "addmm", "addmv", "mv", "linear", "_int_mm", "_scaled_mm", "addr", "dot", "vdot"})
_BATCHED = frozenset({"bmm", "baddbmm", "addbmm", "matmul", "_grouped_mm", "_scaled_grouped_mm"})
_NORMS = frozenset(
    {
        "native_layer_norm", "_fused_rms_norm", "rms_norm", "_softmax", "_safe_softmax",
        "_log_softmax", "linalg_vector_norm", "norm", "var_mean", "var", "std", "std_mean", "cumsum", "logsumexp",
    }
)  # fmt: skip
_REDUCTIONS = frozenset({"sum", "mean", "amax", "amin", "max", "min", "prod", "argmax", "argmin", "any", "all"})
_SORTS = frozenset({"sort", "topk", "unique2", "_unique2", "argsort", "kthvalue", "median", "searchsorted"})
_COPIES = frozenset(
    {"index", "index_select", "gather", "scatter", "index_put", "index_put_", "_index_put_impl_", "im2col", "col2im"}
)
_CASTS = frozenset({"_to_copy", "copy_", "copy"})
#: Rows up to which a product is one of a matrix with few vectors, as in decoding: reading the matrix takes the time.
_FEW_ROWS = 64
#: Input channels up to which a convolution is that of an image: its products are too narrow to fill matrix units.
_FEW_CHANNELS = 4
#: Channels of which kernels take multiples: 16 bytes of float16, the width of a load of matrix units.
_ALIGNED_CHANNELS = 8
#: Features up to which a layer norm is short: a thread block goes over a row, and most of its threads have no element.
_SHORT_ROW = 64
#: Side of the kernel up to which a depthwise convolution is of the class.
_DEPTHWISE_SIDES = ((3, "depthwise_3x3"), (5, "depthwise_5x5"), (7, "depthwise_7x7"))


def classify(entry: Entry) -> str:  # noqa: PLR0911 - one return for each class
    """Return the class of an operator call.

    Example:
        >>> import profiler, torch
        >>> model = torch.nn.Conv2d(64, 64, 3, groups=64, device="meta")
        >>> [classify(entry) for entry in profiler.count(model, torch.empty(1, 64, 8, 8, device="meta")).entries]
        ['depthwise_3x3']
    """
    name = entry.record.packet.rpartition(".")[2]
    forward = name.replace("_backward", "").replace("_data", "")
    suffix = "_backward" if forward != name else ""
    if entry.record.phase == "optimizer":
        return "optimizer"
    if "convolution" in name:
        class_ = _convolution(entry)
        return class_ + suffix if suffix else class_ + _padding(entry, class_)
    if "attention" in name or "scaled_dot_product" in name:
        return "attention"
    if forward in _MATMULS:
        return "matvec" if _rows(entry) <= _FEW_ROWS else "matmul"
    if forward in _BATCHED:
        return "batched_matmul"
    if any(word in name for word in ("rnn", "lstm", "gru")) and entry.macs:
        return "recurrent"
    if "batch_norm" in name:
        return "batch_norm" + suffix
    if "group_norm" in name:
        return "group_norm" + suffix
    if forward in _NORMS:
        return "layer_norm_short" if _is_short_layer_norm(entry, name) else "norm" + suffix
    return _elementwise(entry, forward)


def _elementwise(entry: Entry, name: str) -> str:  # noqa: PLR0911 - one return for each class
    """Return the class of an operator without products."""
    if "c10d" in entry.record.operator:
        return "communication"
    if name in _CASTS:
        return "cast"
    if name.startswith("avg_pool"):
        return "average_pooling"
    if "upsample" in name:
        return "upsample"
    if "pool" in name or "grid_sample" in name:
        return "pooling"
    if name in _REDUCTIONS:
        return "reduction"
    if "embedding" in name:
        return "embedding"
    if name in _SORTS:
        return "sort"
    if name in _COPIES or entry.kind == RuleKind.DATA_MOVEMENT:
        return "copy"
    return "matmul" if entry.macs else "pointwise" if entry.kind == RuleKind.POINTWISE else "other"


def _rows(entry: Entry) -> int:
    """Return the rows of a product: the tokens or samples that share the weights."""
    result = next((spec for value in entry.record.results for spec in tensors(value)), None)
    return result.shape[0] if result is not None and result.shape else 1


def _is_short_layer_norm(entry: Entry, name: str) -> bool:
    features = dict(entry.record.arguments).get("normalized_shape")
    sides = [side for side in features if isinstance(side, int)] if isinstance(features, tuple) else []
    return name == "native_layer_norm" and bool(sides) and prod(sides) <= _SHORT_ROW


def _padding(entry: Entry, class_: str) -> str:
    """Return what is added to the class of a convolution whose channels kernels pad.

    Matrix units take channels by eights, and kernels of grouped convolutions groups of 1, 2, 4, 8 … channels.
    """
    weight = dict(entry.record.arguments).get("weight")
    if not isinstance(weight, TensorSpec):
        return ""
    outputs, inputs = weight.shape[:2]
    is_padded = {
        "conv_1x1": bool(outputs % _ALIGNED_CHANNELS or inputs % _ALIGNED_CHANNELS),
        "conv_grouped": inputs.bit_count() != 1,
    }
    return "_padded" if is_padded.get(class_) else ""


def _convolution(entry: Entry) -> str:
    arguments = dict(entry.record.arguments)
    weight, groups = arguments.get("weight"), arguments.get("groups")
    if not isinstance(weight, TensorSpec) or len(weight.shape) < 3 or not isinstance(groups, int):  # noqa: PLR2004
        return "conv"
    window = weight.shape[2:]
    if groups == 1:
        if prod(window) == 1:
            return "conv_1x1"
        return "conv_few_channels" if weight.shape[1] <= _FEW_CHANNELS else "conv"
    if weight.shape[1] > 1:
        return "conv_grouped"
    side = prod(window) ** (1 / len(window))
    return next((name for limit, name in _DEPTHWISE_SIDES if side <= limit), "depthwise_large")
