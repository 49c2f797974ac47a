"""The hooks of thop: what each counts for one call beyond the MACs of its module, by the code of the deviation.

Legend: x the first input, y the output, n tokens (rows of a batch; in a recurrent layer times steps), h hidden units.
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

#: Operations that thop counts per output element of an interpolation; other modes count 0.
_UPSAMPLE = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}
#: Number of gates of a cell, and the operations per unit that thop adds to its two matrix products: without and with
#: biases.
_CELLS = {"RNN": (1, 1, 3), "GRU": (3, 7, 13), "LSTM": (4, 8, 16)}


def _no_extras(_facts: ModuleFacts, _call: ModuleCall) -> Amounts:
    """Count the MACs only."""
    return {}


def _linear(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    y = _y(call)
    return {"TH-COMPLEX": -3 * y.elements * facts.setting("in_features") * y.is_complex}


def _convolution(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Use the output grid, even if transposed, and the second dimension of x as channels, even if it is unbatched."""
    x, y = _x(call), _y(call)
    channels, groups, kernel = facts.setting("in_channels"), facts.setting("groups"), prod(facts.setting("kernel_size"))
    on_output = prod(y.shape) * kernel * (channels // groups)
    on_input = prod(x.shape) * kernel * facts.setting("out_channels") // groups
    macs = on_input if facts.setting("transposed") else on_output
    return {
        "TH-CONVT": on_output - macs,
        "TH-UNBATCHED": prod(y.shape) * kernel * (x.shape[1] // groups) - on_output,
        "TH-COMPLEX": -3 * macs * x.is_complex,
    }


def _norm(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    affine = facts.setting("affine", False) or facts.setting("elementwise_affine", False)
    return {"TH-NORM": (4 if affine else 2) * prod(_x(call).shape)}


def _prelu(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    return {"TH-PRELU": prod(_x(call).shape)}


def _softmax(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    shape = _x(call).shape
    width = shape[facts.setting("dim")]
    return {"TH-SOFTMAX": prod(shape) // width * (3 * width - 1)}


def _average_pool(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    return {"TH-POOL": prod(_y(call).shape)}


def _adaptive_average_pool(_facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Use the ratio of the sizes as the window, in floating-point numbers, and truncate the result."""
    import torch  # noqa: PLC0415 - as in hooks()

    before, after = (torch.tensor(spec.shape[2:], dtype=torch.float64) for spec in (_x(call), _y(call)))
    return {"TH-POOL": int((torch.prod(torch.div(before, after)) + 1) * prod(_y(call).shape))}


def _upsample(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    return {"TH-UPSAMPLE": _UPSAMPLE.get(facts.setting("mode"), 0) * prod(_y(call).shape)}


def _recurrent(facts: ModuleFacts, call: ModuleCall) -> Amounts:
    """Count gates with biases and element-wise products; the matrix products as if there were no projection."""
    gates, plain, biased = _CELLS[facts.type.rpartition(".")[2].removesuffix("Cell")]
    hidden, projected = facts.setting("hidden_size"), facts.setting("proj_size", 0)
    units = hidden * _cells(facts)
    claimed = gates * hidden * _columns(facts, hidden)
    macs = gates * hidden * _columns(facts, projected or hidden) + units * projected
    rest = units * (biased if facts.setting("bias") else plain)
    claimed_tokens, tokens = _tokens(facts, call)
    code = "TH-UNBATCHED" if isinstance(call.inputs[0], TensorSpec) else "TH-PACKED"
    return {
        "TH-RNN": tokens * rest,
        "TH-RNN-PROJ": tokens * (claimed - macs),
        code: (claimed_tokens - tokens) * (claimed + rest),
    }


def _cells(facts: ModuleFacts) -> int:
    """Return the number of cells: one per layer and direction."""
    return int(facts.setting("num_layers", 1) * (1 + facts.setting("bidirectional", False)))


def _columns(facts: ModuleFacts, width: int) -> int:
    """Return the columns of all weight matrices, if each cell outputs *width* features."""
    directions = 1 + facts.setting("bidirectional", False)
    first, later = directions * (facts.setting("input_size") + width), _cells(facts) - directions
    return int(first + later * (directions + 1) * width)


def _tokens(facts: ModuleFacts, call: ModuleCall) -> tuple[int, int]:
    """Return the number of tokens that thop counts for an input, and the true number."""
    first = call.inputs[0]
    if not isinstance(first, TensorSpec):  # a packed sequence: its data, and the number of sequences at each step
        data, batch_sizes, *_ = tensors(first)
        return batch_sizes.shape[0] * tensors(call.output)[-1].shape[-2], data.shape[0]
    return prod(first.shape[: 1 if facts.is_a("RNNCellBase") else 2]), prod(first.shape[:-1])


def _x(call: ModuleCall) -> TensorSpec:
    return tensors(call.inputs[0])[0]


def _y(call: ModuleCall) -> TensorSpec:
    return tensors(call.output)[0]


_HOOKS: tuple[tuple[HookRule, str], ...] = (
    (_linear, "Linear"),
    (_convolution, "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"),
    (_norm, "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm LayerNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d"),
    (_prelu, "PReLU"),
    (_softmax, "Softmax"),
    (_average_pool, "AvgPool1d AvgPool2d AvgPool3d"),
    (_adaptive_average_pool, "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d"),
    (_upsample, "Upsample UpsamplingBilinear2d UpsamplingNearest2d"),
    (_recurrent, "RNN GRU LSTM RNNCell GRUCell LSTMCell"),
    (_no_extras, "ReLU ReLU6 LeakyReLU Dropout MaxPool1d MaxPool2d MaxPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d"),
    (_no_extras, "AdaptiveMaxPool3d ZeroPad2d PixelShuffle Sequential"),
)  # fmt: skip


@cache
def hooks() -> dict[str, HookRule]:
    """Return the rule of each class, by its qualified name; subclasses have no rule."""
    from torch import nn  # noqa: PLC0415 - listing the peers needs no torch

    return {f"{getattr(nn, name).__module__}.{name}": hook for hook, names in _HOOKS for name in names.split()}


EXTRAS = (
    Extra(
        "TH-NORM",
        CauseKind.UNIT,
        "adds 2 MACs per element of a norm, or 4 if it has weights",
        "thop/vision/basic_hooks.py: count_normalization",
    ),
    Extra(
        "TH-SOFTMAX",
        CauseKind.UNIT,
        "adds 3·n − 1 MACs for each softmax over n elements",
        "thop/vision/calc_func.py: calculate_softmax",
    ),
    Extra(
        "TH-PRELU",
        CauseKind.UNIT,
        "adds one MAC per element of a PReLU",
        "thop/vision/basic_hooks.py: count_prelu",
    ),
    Extra(
        "TH-POOL",
        CauseKind.UNIT,
        "adds one MAC per output element of an average pool, or 1 plus the window size if it is adaptive",
        "thop/vision/basic_hooks.py: count_avgpool, count_adap_avgpool",
    ),
    Extra(
        "TH-UPSAMPLE",
        CauseKind.UNIT,
        "adds 1 to 259 MACs per output element of Upsample, depending on its mode",
        "thop/vision/calc_func.py: calculate_upsample",
    ),
    Extra(
        "TH-CONVT",
        CauseKind.GRID,
        "counts a transposed convolution on the grid of its output instead of its input",
        "thop/vision/calc_func.py: calculate_conv2d_flops",
    ),
    Extra(
        "TH-UNBATCHED",
        CauseKind.BATCH,
        "takes the second dimension of an unbatched image as channels, and the first two of an unbatched sequence as "
        "batch and time",
        "thop/vision/calc_func.py: calculate_conv2d_flops; rnn_hooks.py",
    ),
    Extra(
        "TH-RNN",
        CauseKind.RECURRENT,
        "adds the biases and element-wise products of recurrent cells to the MACs",
        "thop/rnn_hooks.py",
    ),
    Extra(
        "TH-RNN-PROJ",
        CauseKind.RECURRENT,
        "ignores the projection of an LSTM (proj_size)",
        "thop/rnn_hooks.py: count_lstm",
    ),
    Extra(
        "TH-PACKED",
        CauseKind.RECURRENT,
        "counts a packed sequence as if all sequences were as long as the longest",
        "thop/rnn_hooks.py",
    ),
    Extra(
        "TH-COMPLEX",
        CauseKind.DTYPE,
        "counts a complex multiply-add as one real multiply-add instead of four",
        "thop/vision/calc_func.py: calculate_linear",
    ),
)
