"""The hooks of ptflops: what each counts for one call beyond the MACs of its module, by the code of the deviation.

Legend: x the first input, y the output, n tokens (rows of a batch; in a recurrent layer times steps), h hidden units,
E, K and V the widths of queries, keys and values.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING

from profiler.peers.emulation.hook_based import Extra
from profiler.values.findings import CauseKind
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from profiler.peers.emulation.hook_based import HookRule
    from profiler.trace.call_facts import ModuleCall
    from profiler.trace.module_facts import ModuleFacts

    Amounts = dict[str, int]

#: Operations per kernel position of a deformable convolution; a mask adds one.
_DEFORMABLE_OPS = 24
#: Number of gates of a cell, and the operations per unit that are added to its matrix products.
_CELLS = {"RNN": (1, 1), "GRU": (3, 7), "LSTM": (4, 10)}


def _linear(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    x, width = _x(call), facts.setting("out_features")
    return {
        "PT-BIAS": prod(x.shape[:-1]) * width * _has_bias(facts),
        "PT-COMPLEX": -3 * prod(x.shape) * width * x.is_complex,
    }


def _convolution(facts: ModuleFacts, call: ModuleCall, extra: int = 0) -> Amounts:
    """Take the first dimension as the batch and the second as the channels, even if the input is unbatched."""
    x, y, kernel = _x(call), _y(call), prod(facts.setting("kernel_size"))
    channels, filters = facts.setting("in_channels"), facts.setting("out_channels") // facts.setting("groups")
    dims = len(facts.setting("kernel_size"))
    grid = x if facts.setting("transposed", False) else y
    positions = prod(grid.shape[-dims:]) * prod(x.shape[: -dims - 1])
    claimed = prod(grid.shape[2:]) * x.shape[0]
    bias = prod(y.shape) * _has_bias(facts)
    claimed_bias = prod(y.shape[1:]) * x.shape[0] * _has_bias(facts)
    return {
        "PT-BIAS": bias,
        "PT-UNBATCHED": (claimed - positions) * kernel * channels * filters + claimed_bias - bias,
        "PT-COMPLEX": -3 * positions * kernel * channels * filters * x.is_complex,
        "PT-DEFORM": claimed * kernel * extra,
    }


def _deformable_convolution(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    has_mask = len(call.inputs) == len(("input", "offset", "mask")) and call.inputs[2] is not None
    return _convolution(facts, call, _DEFORMABLE_OPS + has_mask)


def _activation(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    return {"PT-ACTIVATION": prod(_y(call).shape)}


def _pool(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    return {"PT-POOL": prod(_x(call).shape)}


def _norm(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Count 2 per element if the module has an attribute ``affine`` that is true; LayerNorm has no such attribute."""
    return {"PT-NORM": prod(_x(call).shape) * (2 if facts.setting("affine", False) else 1)}


def _upsample(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Count the elements of the first sample only."""
    return {"PT-UPSAMPLE": prod(_y(call).shape[1:])}


def _recurrent(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Count the gates with biases and element-wise products, but not the projection of the state."""
    x, hidden, projected = _x(call), facts.setting("hidden_size"), facts.setting("proj_size", 0)
    gates, others = _CELLS[facts.type.rpartition(".")[2].removesuffix("Cell")]
    directions = 1 + facts.setting("bidirectional", False)
    cells = directions * facts.setting("num_layers", 1)
    width = projected or hidden
    columns = directions * facts.setting("input_size") + (cells - directions) * directions * width + cells * width
    rest = cells * hidden * (others + 2 * gates * facts.setting("bias"))
    tokens = prod(x.shape[:-1])
    claimed_tokens = prod(x.shape[: 1 if facts.is_a("RNNCellBase") else 2])
    return {
        "PT-RNN": tokens * rest,
        "PT-RNN-PROJ": -tokens * cells * hidden * projected,
        "PT-UNBATCHED": (claimed_tokens - tokens) * (gates * hidden * columns + rest),
    }


def _attention(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Add scaling, biases and softmax; project keys from K to K, values from V to V and the result from V to V."""
    q, k, v = (spec.shape for spec in map(_first_tensor, call.inputs))
    batch, time = (0, 1) if facts.setting("batch_first") else (1, 0)
    queries, keys, heads = q[time], k[time], facts.setting("num_heads")
    e, key, value = q[2], k[2], v[2]
    biases = (queries + keys + v[time]) * e * any(param.name == "in_proj_bias" for param in facts.params)
    projected = keys * key * (key - e) + v[time] * value * (value - e) + queries * (value**2 - e**2)
    added_keys = any(param.name == "bias_k" for param in facts.params) + facts.setting("add_zero_attn")
    return {
        "PT-MHA": q[batch] * (queries * e + biases + heads * queries * keys + queries * value),
        "PT-MHA-WIDTH": q[batch] * (projected + heads * queries * keys * (value // heads - e // heads)),
        "PT-MHA-KEYS": -q[batch] * heads * queries * added_keys * 2 * (e // heads),
    }


def _timm_attention(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    batch, tokens, _ = _x(call).shape
    heads = facts.setting("num_heads")
    return {"PT-MHA": batch * heads * tokens * (facts.setting("head_dim") + tokens)}


def _x(call: ModuleCall) -> TensorSpec:
    return _first_tensor(call.inputs[0])


def _y(call: ModuleCall) -> TensorSpec:
    return _first_tensor(call.output)


def _first_tensor(value: object) -> TensorSpec:
    return tensors(value)[0]  # type: ignore[arg-type]


def _has_bias(facts: ModuleFacts) -> bool:
    return any(param.name == "bias" for param in facts.params)


_HOOKS: tuple[tuple[HookRule, str], ...] = (
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
#: The rules of classes that torch does not have.
_OTHER_HOOKS: dict[str, HookRule] = {
    "torchvision.ops.deform_conv.DeformConv2d": _deformable_convolution,
    "timm.layers.attention.Attention": _timm_attention,  # its module since timm 1.0.16
    "timm.models.vision_transformer.Attention": _timm_attention,
}


@cache
def hooks() -> dict[str, HookRule]:
    """Return the rule of each class, by its qualified name; subclasses have no rule."""
    from torch import nn  # noqa: PLC0415 - listing the peers needs no torch

    ours = {f"{getattr(nn, name).__module__}.{name}": hook for hook, names in _HOOKS for name in names.split()}
    return ours | _OTHER_HOOKS


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
        "adds one MAC per element of a norm, or two if it is affine",
        "ptflops/pytorch_ops.py: bn_flops_counter_hook",
    ),
    Extra(
        "PT-ACTIVATION",
        CauseKind.UNIT,
        "adds one MAC per element of an activation",
        "ptflops/pytorch_ops.py: relu_flops_counter_hook",
    ),
    Extra(
        "PT-POOL",
        CauseKind.UNIT,
        "adds one MAC per input element of a pool",
        "ptflops/pytorch_ops.py: pool_flops_counter_hook",
    ),
    Extra(
        "PT-UPSAMPLE",
        CauseKind.UNIT,
        "adds one MAC per output element of Upsample, for the first sample only",
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
        "projects keys and values of another width (kdim, vdim) to that width instead of the embedding width",
        "ptflops/pytorch_ops.py: multihead_attention_counter_hook",
    ),
    Extra(
        "PT-MHA-KEYS",
        CauseKind.ATTENTION,
        "ignores the extra keys of add_bias_kv and add_zero_attn",
        "ptflops/pytorch_ops.py: multihead_attention_counter_hook",
    ),
    Extra(
        "PT-RNN",
        CauseKind.RECURRENT,
        "adds the biases and element-wise products of recurrent cells to the MACs",
        "ptflops/pytorch_ops.py: rnn_flops",
    ),
    Extra(
        "PT-RNN-PROJ",
        CauseKind.RECURRENT,
        "ignores the projection of an LSTM (proj_size)",
        "ptflops/pytorch_ops.py: rnn_flops_counter_hook",
    ),
    Extra(
        "PT-UNBATCHED",
        CauseKind.BATCH,
        "takes the first two dimensions of an unbatched input as batch and channels (or time)",
        "ptflops/pytorch_ops.py: conv_flops_counter_hook, rnn_flops_counter_hook",
    ),
    Extra(
        "PT-DEFORM",
        CauseKind.UNIT,
        "adds 24 MACs (25 with a mask) per kernel position and output position of a deformable convolution",
        "ptflops/pytorch_ops.py: deformable_conv_flops_counter_hook",
    ),
    Extra(
        "PT-COMPLEX",
        CauseKind.DTYPE,
        "counts a complex multiply-add as one real multiply-add instead of four",
        "ptflops/pytorch_ops.py: linear_/conv_flops_counter_hook",
    ),
)
