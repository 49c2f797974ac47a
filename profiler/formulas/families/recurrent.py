"""Recurrent layers and cells: Elman networks, LSTM and GRU, in one kernel.

Legend: t tokens (time · batch, or the rows of a packed sequence), H hidden units, g gates. Every weight matrix, of
whichever layer, direction or projection, is used once for each token: t·W MACs for W weights in matrices.

Outside the MACs, of each unit and token: every gate is the sum of two products (g adds) and of two biases (2·g), then
what the expressions below say. Backward, the gradients of inputs and hidden states take as many MACs as the forward
pass, those of the weights as many again, and a bias sums the gradients of its gates over the tokens.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Shape, TensorSpec

Weights = tuple[TensorSpec, ...]

_MATRIX = 2
#: A layer in one direction has two matrices, and with biases four weights; a projection is one more.
_WITH_BIASES = frozenset({4, 5})


class Cell(NamedTuple):
    """What one unit computes from its gates, for a token."""

    gates: int
    #: Gates that go through a sigmoid first.
    sigmoids: int
    forward: str
    #: ``grad`` is the gradient of the new state; small letters are the gates after their activation.
    backward: str


#: Source: aten/src/ATen/native/cuda/RNN.cu of torch, for all forms of the gradients.
RELU = Cell(1, 0, "max(h, 0)", "where(h > 0, grad, 0)")
TANH = Cell(1, 0, "tanh(h)", "grad * (1 - h * h)")
#: Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, with a forget gate.
LSTM = Cell(
    4,
    3,
    "(c := f * c + i * tanh(g), o * tanh(c))",
    """(t := tanh(c), d_o := grad * t, d := grad * o * (1 - t * t) + grad_c, d * f,
        d * g * (1 - i) * i, d * c_before * (1 - f) * f, d * i * (1 - g * g), d_o * (1 - o) * o)""",
)
#: Source: Cho et al., arXiv:1406.1078, with the reset gate behind the product, as in torch.
GRU = Cell(
    3,
    2,
    "(r * h_n, n := tanh(n), n + z * (h - n))",
    """(grad * (h - n) * (1 - z) * z, grad * z, d_n := grad * (1 - z) * (1 - n * n), d_n * r,
        d_n * h_n * (1 - r) * r)""",
)
#: By the numbers of cuDNN's modes. Source: aten/src/ATen/native/cudnn/RNN.cpp of torch.
CELLS = (RELU, TANH, LSTM, GRU)


@formula("aten::mkldnn_rnn_layer")
def mkldnn_layer(
    input: TensorSpec, weight0: TensorSpec, weight1: TensorSpec, hx_: TensorSpec, cx_: TensorSpec,
    has_biases: bool, hidden_size: int, mode: int,
) -> Cost:  # fmt: skip
    """Count one layer in one direction, whatever number of both the operator is told.

    Without biases the matrices stand in their places, and are not read for it.
    """
    tokens = prod(input.shape[:-1])
    read = sum(operand.bytes for operand in (input, weight0, weight1, hx_, cx_))
    cost = step(
        CELLS[mode], tokens * hidden_size, biases=has_biases, macs=tokens * (prod(weight0.shape) + prod(weight1.shape))
    )
    return cost if has_biases else replace(cost, bytes_read=read)


@formula("aten::mkldnn_rnn_layer_backward")
def mkldnn_layer_backward(
    input: Shape, weight1: Shape, weight2: Shape, has_biases: bool, hidden_size: int, mode: int
) -> Cost:
    """Count the gradients of input, hidden states and weights; both biases have the same."""
    tokens = prod(input[:-1])
    return _backward(CELLS[mode], tokens, hidden_size, 2 * tokens * (prod(weight1) + prod(weight2)), sums=has_biases)


@formula("aten::_cudnn_rnn", "aten::miopen_rnn")
def device_rnn(
    input: Shape, weight: Weights, weight_stride0: int, mode: int, hidden_size: int,
    num_layers: int, dropout: float | None, train: bool, bidirectional: bool,
) -> Cost:  # fmt: skip
    """Count all layers and directions; in training with dropout, three operations on what goes from layer to layer."""
    tokens, directions = prod(input[:-1]), 1 + bidirectional
    units, biases = tokens * directions * hidden_size, weight_stride0 in _WITH_BIASES
    cost = step(CELLS[mode], units * num_layers, biases=biases, macs=tokens * _in_matrices(weight))
    dropped = units * (num_layers - 1) * (train and dropout != 0)
    return replace(cost, other_flops=cost.other_flops + 3 * dropped)


@formula("aten::_cudnn_rnn_backward", "aten::miopen_rnn_backward")
def device_rnn_backward(
    input: Shape, weight: Weights, weight_stride0: int, mode: int, hidden_size: int,
    num_layers: int, bidirectional: bool, output_mask: tuple[bool, ...],
) -> Cost:  # fmt: skip
    """Count the gradients of all layers; those of the weights where the mask's last place asks for them."""
    tokens, of_weights = prod(input[:-1]), output_mask[-1]
    macs = tokens * _in_matrices(weight) * (1 + of_weights)
    sums = 2 * (of_weights and weight_stride0 in _WITH_BIASES)
    return _backward(CELLS[mode], tokens, hidden_size * num_layers * (1 + bidirectional), macs, sums=sums)


@formula("aten::_lstm_mps")
def mps_lstm(
    input: Shape, hx: Weights, params: Weights, has_biases: bool, num_layers: int, bidirectional: bool
) -> Cost:
    """Count all layers and directions; dropout is left out."""
    tokens = prod(input[:-1])
    units = tokens * hx[1].shape[-1] * num_layers * (1 + bidirectional)
    return step(LSTM, units, biases=has_biases, macs=tokens * _in_matrices(params))


@formula("aten::_thnn_fused_lstm_cell")
def lstm_cell(cx: TensorSpec, input_bias: Shape | None) -> Cost:
    """Count one step of an LSTM; the products of its gates are operators of their own."""
    return step(LSTM, numel(cx), biases=input_bias is not None)


@formula("aten::_thnn_fused_gru_cell")
def gru_cell(hx: TensorSpec, input_bias: Shape | None) -> Cost:
    """Count one step of a GRU; the products of its gates are operators of their own."""
    return step(GRU, numel(hx), biases=input_bias is not None)


@formula("aten::_thnn_fused_lstm_cell_backward_impl")
def lstm_cell_backward(cx: Shape, has_bias: bool) -> Cost:
    """Count the gradients of the gates, of the cell state, and of the biases, which have the same."""
    return _backward(LSTM, cx[0], cx[1], 0, sums=has_bias)


@formula("aten::_thnn_fused_gru_cell_backward")
def gru_cell_backward(grad_hy: Shape, has_bias: bool) -> Cost:
    """Count the gradients of the gates, of the hidden state, and of the two biases, which differ."""
    return _backward(GRU, grad_hy[0], grad_hy[1], 0, sums=2 * has_bias)


def step(cell: Cell, units: int, *, biases: bool, macs: int = 0) -> Cost:
    """Count what so many units compute from their gates, those of all tokens together, beside the *macs*."""
    sigmoid, joined = operations(ACTIVATIONS["sigmoid"], {}), operations(cell.forward, {})
    sums = cell.gates * (3 if biases else 1)
    return Cost(
        macs=macs,
        other_flops=units * (sums + cell.sigmoids * sigmoid.flops + joined.flops),
        transcendentals=units * (cell.sigmoids * sigmoid.transcendentals + joined.transcendentals),
    )


def _backward(cell: Cell, tokens: int, units: int, macs: int, *, sums: int) -> Cost:
    """Count the gradients of *units* hidden units for each token; *sums* of their biases are different ones."""
    each = operations(cell.backward, {})
    summed = sums * reduction_ops(tokens * cell.gates * units, cell.gates * units)
    return Cost(
        macs=macs,
        other_flops=tokens * units * each.flops + summed,
        transcendentals=tokens * units * each.transcendentals,
    )


def _in_matrices(weights: Weights) -> int:
    """Count the weights in matrices; vectors are biases."""
    return sum(prod(weight.shape) for weight in weights if len(weight.shape) == _MATRIX)
