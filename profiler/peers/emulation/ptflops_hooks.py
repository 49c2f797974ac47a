"""What each of ptflops' hooks counts beside the MACs of its module: by the code of the departure, for one call.

Legend: x the first input, y the output, n tokens (rows of a batch, in a recurrent layer times steps), h hidden units,
E, K and V the widths of queries, keys and values.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from torch import nn

from profiler.peers.emulation.hook_based import Extra
from profiler.values.findings import CauseKind
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from profiler.peers.emulation.hook_based import Extras
    from profiler.trace.module_facts import ModuleCall, ModuleFacts

    Amounts = dict[str, int]

#: Operations on an element that a deformable convolution is given for each place of its kernel; a mask is one more.
_DEFORMED = 24
#: Gates of a cell, and what is added to its products for each unit.
_CELLS = {"RNN": (1, 1), "GRU": (3, 7), "LSTM": (4, 10)}


def _linear(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    x, width = _x(visit), facts.setting("out_features")
    return {
        "PT-BIAS": prod(x.shape[:-1]) * width * _has_bias(facts),
        "PT-COMPLEX": -3 * prod(x.shape) * width * x.is_complex,
    }


def _convolution(facts: ModuleFacts, visit: ModuleCall, extra: int = 0) -> Amounts:
    """Take the first dimension for the batch and the second for the channels, whatever they are."""
    x, y, kernel = _x(visit), _y(visit), prod(facts.setting("kernel_size"))
    channels, filters = facts.setting("in_channels"), facts.setting("out_channels") // facts.setting("groups")
    places = len(facts.setting("kernel_size"))
    on = x if facts.setting("transposed", False) else y
    true = prod(on.shape[-places:]) * prod(x.shape[: -places - 1])
    said = prod(on.shape[2:]) * x.shape[0]
    biases = prod(y.shape[1:]) * x.shape[0] * _has_bias(facts)
    return {
        "PT-BIAS": prod(y.shape) * _has_bias(facts),
        "PT-UNBATCHED": (said - true) * kernel * channels * filters + biases - prod(y.shape) * _has_bias(facts),
        "PT-COMPLEX": -3 * true * kernel * channels * filters * x.is_complex,
        "PT-DEFORM": said * kernel * extra,
    }


def _deformable(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    masked = len(visit.inputs) == len(("input", "offset", "mask")) and visit.inputs[2] is not None
    return _convolution(facts, visit, _DEFORMED + masked)


def _activation(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"PT-ACTIVATION": prod(_y(visit).shape)}


def _pool(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"PT-POOL": prod(_x(visit).shape)}


def _norm(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Look for an attribute ``affine``, which LayerNorm has not."""
    return {"PT-NORM": prod(_x(visit).shape) * (2 if facts.setting("affine", False) else 1)}


def _upsample(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Count the first sample alone."""
    return {"PT-UPSAMPLE": prod(_y(visit).shape[1:])}


def _recurrent(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Count the gates with biases and element-wise products, and no projection of the state."""
    x, hidden, narrow = _x(visit), facts.setting("hidden_size"), facts.setting("proj_size", 0)
    gates, others = _CELLS[facts.type.rpartition(".")[2].removesuffix("Cell")]
    ways = 1 + facts.setting("bidirectional", False)
    cells = ways * facts.setting("num_layers", 1)
    width = narrow or hidden
    columns = ways * facts.setting("input_size") + (cells - ways) * ways * width + cells * width
    rest = cells * hidden * (others + 2 * gates * facts.setting("bias"))
    tokens = prod(x.shape[:-1])
    said = prod(x.shape[: 1 if facts.is_a("RNNCellBase") else 2])
    return {
        "PT-RNN": tokens * rest,
        "PT-RNN-PROJ": -tokens * cells * hidden * narrow,
        "PT-UNBATCHED": (said - tokens) * (gates * hidden * columns + rest),
    }


def _attention(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Count scaling, biases and softmax; project keys K to K and values V to V, and the result from V to V."""
    q, k, v = (spec.shape for spec in map(_first, visit.inputs))
    batch, time = (0, 1) if facts.setting("batch_first") else (1, 0)
    queries, keys, heads = q[time], k[time], facts.setting("num_heads")
    e, key, value = q[2], k[2], v[2]
    biases = (queries + keys + v[time]) * e * any(held.name == "in_proj_bias" for held in facts.params)
    projected = keys * key * (key - e) + v[time] * value * (value - e) + queries * (value**2 - e**2)
    more = any(held.name == "bias_k" for held in facts.params) + facts.setting("add_zero_attn")
    return {
        "PT-MHA": q[batch] * (queries * e + biases + heads * queries * keys + queries * value),
        "PT-MHA-WIDTH": q[batch] * (projected + heads * queries * keys * (value // heads - e // heads)),
        "PT-MHA-KEYS": -q[batch] * heads * queries * more * 2 * (e // heads),
    }


def _timm_attention(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    batch, tokens, _ = _x(visit).shape
    heads = facts.setting("num_heads")
    return {"PT-MHA": batch * heads * tokens * (facts.setting("head_dim") + tokens)}


def _x(visit: ModuleCall) -> TensorSpec:
    return _first(visit.inputs[0])


def _y(visit: ModuleCall) -> TensorSpec:
    return _first(visit.output)


def _first(value: object) -> TensorSpec:
    return tensors(value)[0]  # type: ignore[arg-type]


def _has_bias(facts: ModuleFacts) -> bool:
    return any(held.name == "bias" for held in facts.params)


_HOOKS: tuple[tuple[Extras, str], ...] = (
    (_linear, "Linear"),
    (_convolution, "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"),
    (_activation, "ReLU PReLU ELU LeakyReLU ReLU6 GELU"),
    (_pool, "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d"),
    (_pool, "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d"),
    (_pool, "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d"),
    (_norm, "BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d GroupNorm LayerNorm"),
    (_upsample, "Upsample"),
    (_recurrent, "RNN GRU LSTM RNNCell GRUCell LSTMCell"),
    (_attention, "MultiheadAttention"),
)
#: By the qualified name of the class, which must be this one exactly.
HOOKS: dict[str, Extras] = {
    f"{getattr(nn, name).__module__}.{name}": hook for hook, names in _HOOKS for name in names.split()
} | {
    "torchvision.ops.deform_conv.DeformConv2d": _deformable,
    "timm.layers.attention.Attention": _timm_attention,  # where timm has it since 1.0.16
    "timm.models.vision_transformer.Attention": _timm_attention,
}

EXTRAS = (
    Extra(
        "PT-BIAS",
        CauseKind.BIAS,
        "adds the bias of a Linear or convolution to the MACs",
        "ptflops/pytorch_ops.py: linear_/conv_flops_counter_hook",
    ),
    Extra(
        "PT-NORM",
        CauseKind.UNIT,
        "adds each element of a norm, twice if it is affine, to the MACs",
        "ptflops/pytorch_ops.py: bn_flops_counter_hook",
    ),
    Extra(
        "PT-ACTIVATION",
        CauseKind.UNIT,
        "adds each element of an activation to the MACs",
        "ptflops/pytorch_ops.py: relu_flops_counter_hook",
    ),
    Extra(
        "PT-POOL",
        CauseKind.UNIT,
        "adds each element that goes into a pool to the MACs",
        "ptflops/pytorch_ops.py: pool_flops_counter_hook",
    ),
    Extra(
        "PT-UPSAMPLE",
        CauseKind.UNIT,
        "adds each element of one upsampled sample to the MACs",
        "ptflops/pytorch_ops.py: upsample_flops_counter_hook",
    ),
    Extra(
        "PT-MHA",
        CauseKind.ATTENTION,
        "adds the scaling, the softmax and the biases of attention to the MACs",
        "ptflops/pytorch_ops.py: multihead_attention_counter_hook, timm_attention_counter_hook",
    ),
    Extra(
        "PT-MHA-WIDTH",
        CauseKind.ATTENTION,
        "projects keys and values of another width (kdim, vdim) to that width, and the result from it",
        "ptflops/pytorch_ops.py: multihead_attention_counter_hook",
    ),
    Extra(
        "PT-MHA-KEYS",
        CauseKind.ATTENTION,
        "does not know the keys that attention adds by itself (add_bias_kv, add_zero_attn)",
        "ptflops/pytorch_ops.py: multihead_attention_counter_hook",
    ),
    Extra(
        "PT-RNN",
        CauseKind.RECURRENT,
        "adds biases and element-wise products of cells to the MACs",
        "ptflops/pytorch_ops.py: rnn_flops",
    ),
    Extra(
        "PT-RNN-PROJ",
        CauseKind.RECURRENT,
        "leaves out the projection of an LSTM (proj_size)",
        "ptflops/pytorch_ops.py: rnn_flops_counter_hook",
    ),
    Extra(
        "PT-UNBATCHED",
        CauseKind.BATCH,
        "takes the first dimension of an input for the batch, and for time or channels the second, where there is none",
        "ptflops/pytorch_ops.py: conv_flops_counter_hook, rnn_flops_counter_hook",
    ),
    Extra(
        "PT-DEFORM",
        CauseKind.UNIT,
        "adds 24 or 25 operations for each place of a deformable kernel to the MACs",
        "ptflops/pytorch_ops.py: deformable_conv_flops_counter_hook",
    ),
    Extra(
        "PT-COMPLEX",
        CauseKind.DTYPE,
        "counts a product of complex numbers as one of real ones",
        "ptflops/pytorch_ops.py: linear_/conv_flops_counter_hook",
    ),
)
