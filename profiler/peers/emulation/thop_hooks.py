"""What each of thop's hooks counts beside the MACs of its module: by the code of the departure, for one call.

Legend: x the first input, y the output, n tokens (rows of a batch, in a recurrent layer times steps), h hidden units.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import nn

from profiler.peers.emulation.hook_based import Extra
from profiler.values.findings import CauseKind
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from profiler.peers.emulation.hook_based import Extras
    from profiler.trace.module_facts import ModuleCall, ModuleFacts

    Amounts = dict[str, int]

#: Operations that thop gives an output element of an interpolation; other modes count as nothing.
_UPSAMPLE = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}
#: Gates of a cell, and what thop adds to its two products for a unit without biases and with.
_CELLS = {"RNN": (1, 1, 3), "GRU": (3, 7, 13), "LSTM": (4, 8, 16)}


def _nothing(_facts: ModuleFacts, _visit: ModuleCall) -> Amounts:
    """Count the MACs, or nothing where there are none."""
    return {}


def _linear(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"TH-COMPLEX": -3 * _y(visit).elements * facts.setting("in_features") * _y(visit).is_complex}


def _convolution(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Take y for the grid, and the second dimension of x for its channels, whatever they are."""
    x, y = _x(visit), _y(visit)
    channels, groups, kernel = facts.setting("in_channels"), facts.setting("groups"), prod(facts.setting("kernel_size"))
    grid = prod(y.shape) * kernel * (channels // groups)
    true = prod(x.shape) * kernel * facts.setting("out_channels") // groups if facts.setting("transposed") else grid
    return {
        "TH-CONVT": grid - true,
        "TH-UNBATCHED": prod(y.shape) * kernel * (x.shape[1] // groups) - grid,
        "TH-COMPLEX": -3 * true * x.is_complex,
    }


def _norm(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    affine = facts.setting("affine", False) or facts.setting("elementwise_affine", False)
    return {"TH-NORM": (4 if affine else 2) * prod(_x(visit).shape)}


def _prelu(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"TH-PRELU": prod(_x(visit).shape)}


def _softmax(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    shape = _x(visit).shape
    width = shape[facts.setting("dim")]
    return {"TH-SOFTMAX": prod(shape) // width * (3 * width - 1)}


def _average(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"TH-POOL": prod(_y(visit).shape)}


def _adaptive_average(_facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Take the ratio of the sizes for the window, in floating-point numbers that are then cut off."""
    before, after = (torch.tensor(spec.shape[2:], dtype=torch.float64) for spec in (_x(visit), _y(visit)))
    return {"TH-POOL": int((torch.prod(torch.div(before, after)) + 1) * prod(_y(visit).shape))}


def _upsample(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    return {"TH-UPSAMPLE": _UPSAMPLE.get(facts.setting("mode"), 0) * prod(_y(visit).shape)}


def _recurrent(facts: ModuleFacts, visit: ModuleCall) -> Amounts:
    """Count gates with biases and element-wise products; the products as if what is given on were as wide as h."""
    gates, plain, biased = _CELLS[facts.type.rpartition(".")[2].removesuffix("Cell")]
    hidden, narrow = facts.setting("hidden_size"), facts.setting("proj_size", 0)
    cells = hidden * _directions(facts)
    products = gates * hidden * _columns(facts, hidden)
    true = gates * hidden * _columns(facts, narrow or hidden) + cells * narrow
    rest = cells * (biased if facts.setting("bias") else plain)
    said, tokens = _tokens(facts, visit)
    wrong = "TH-UNBATCHED" if isinstance(visit.inputs[0], TensorSpec) else "TH-PACKED"
    return {
        "TH-RNN": tokens * rest,
        "TH-RNN-PROJ": tokens * (products - true),
        wrong: (said - tokens) * (products + rest),
    }


def _directions(facts: ModuleFacts) -> int:
    """Count the cells of all layers."""
    return int(facts.setting("num_layers", 1) * (1 + facts.setting("bidirectional", False)))


def _columns(facts: ModuleFacts, width: int) -> int:
    """Sum the columns of the weight matrices of all cells, where each gives on *width* numbers."""
    ways = 1 + facts.setting("bidirectional", False)
    first, later = ways * (facts.setting("input_size") + width), _directions(facts) - ways
    return int(first + later * (ways + 1) * width)


def _tokens(facts: ModuleFacts, visit: ModuleCall) -> tuple[int, int]:
    """Say for how many tokens thop takes an input, and how many there are."""
    first = visit.inputs[0]
    if not isinstance(first, TensorSpec):  # a packed sequence: what is stored, and the number of rows at each step
        data, steps, *_ = tensors(first)
        return steps.shape[0] * tensors(visit.output)[-1].shape[-2], data.shape[0]
    return prod(first.shape[: 1 if facts.is_a("RNNCellBase") else 2]), prod(first.shape[:-1])


def _x(visit: ModuleCall) -> TensorSpec:
    return tensors(visit.inputs[0])[0]


def _y(visit: ModuleCall) -> TensorSpec:
    return tensors(visit.output)[0]


_HOOKS: tuple[tuple[Extras, str], ...] = (
    (_linear, "Linear"),
    (_convolution, "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d"),
    (_norm, "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm LayerNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d"),
    (_prelu, "PReLU"),
    (_softmax, "Softmax"),
    (_average, "AvgPool1d AvgPool2d AvgPool3d"),
    (_adaptive_average, "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d"),
    (_upsample, "Upsample UpsamplingBilinear2d UpsamplingNearest2d"),
    (_recurrent, "RNN GRU LSTM RNNCell GRUCell LSTMCell"),
    (_nothing, "ReLU ReLU6 LeakyReLU Dropout MaxPool1d MaxPool2d MaxPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d"),
    (_nothing, "AdaptiveMaxPool3d ZeroPad2d PixelShuffle Sequential"),
)  # fmt: skip
#: By the qualified name of the class, which must be this one exactly.
HOOKS: dict[str, Extras] = {
    f"{getattr(nn, name).__module__}.{name}": hook for hook, names in _HOOKS for name in names.split()
}

EXTRAS = (
    Extra(
        "TH-NORM",
        CauseKind.UNIT,
        "adds 2 operations an element of a norm, 4 with weights, to the MACs",
        "thop/vision/basic_hooks.py: count_normalization",
    ),
    Extra(
        "TH-SOFTMAX",
        CauseKind.UNIT,
        "adds 3·n − 1 operations for each softmax of n elements to the MACs",
        "thop/vision/calc_func.py: calculate_softmax",
    ),
    Extra(
        "TH-PRELU",
        CauseKind.UNIT,
        "adds an operation an element of a PReLU to the MACs",
        "thop/vision/basic_hooks.py: count_prelu",
    ),
    Extra(
        "TH-POOL",
        CauseKind.UNIT,
        "adds an operation for each element that an average pool gives to the MACs; an adaptive one, its window's too",
        "thop/vision/basic_hooks.py: count_avgpool, count_adap_avgpool",
    ),
    Extra(
        "TH-UPSAMPLE",
        CauseKind.UNIT,
        "adds 1 to 259 operations an interpolated element to the MACs",
        "thop/vision/calc_func.py: calculate_upsample",
    ),
    Extra(
        "TH-CONVT",
        CauseKind.GRID,
        "counts a transposed convolution on its output, not on its input",
        "thop/vision/calc_func.py: calculate_conv2d_flops",
    ),
    Extra(
        "TH-UNBATCHED",
        CauseKind.BATCH,
        "takes the second dimension of an image for its channels, and the first two of a sequence for batch and time, "
        "also where there is no batch",
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
        "counts a packed sequence as if every sequence were as long as the longest",
        "thop/rnn_hooks.py",
    ),
    Extra(
        "TH-COMPLEX",
        CauseKind.DTYPE,
        "counts a product of complex numbers as one of real ones",
        "thop/vision/calc_func.py: calculate_linear",
    ),
)
