"""Fused recurrent layers and cells: Elman RNN, LSTM and GRU.

Legend: t tokens (time · batch, or the rows of a packed sequence), H hidden units, g gates. Every weight matrix of every
layer, direction and projection is used once per token: t·W MACs for W matrix elements.

Outside the MACs, each unit and token takes the sum of two products per gate (g adds), two biases per gate (2·g adds),
and the operations in the expressions below. In the backward pass, the gradients of inputs and hidden states take as
many MACs as the forward pass, those of the weights as many again, and each bias gradient is a sum over the tokens.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

from profiler.formulas.element_counts import numel, reduction_ops
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, Number, Shape, TensorSpec

Weights = tuple[TensorSpec, ...]

_MATRIX = 2
#: Weights of a layer in one direction: two matrices, plus two biases if it has them, plus one for a projection.
_WITH_BIASES = frozenset({4, 5})


class Cell(NamedTuple):
    """The elementwise computation of one hidden unit, per token."""

    gates: int
    #: Gates with a sigmoid, which is applied before *forward*.
    sigmoids: int
    #: Expression of the new state, from the gates.
    forward: str
    #: Expression of the gradients; ``grad`` is that of the new state, letters are the gates after their activation.
    backward: str


#: Source: aten/src/ATen/native/cuda/RNN.cu of torch, for the gradients of every cell.
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
#: Source: Cho et al., arXiv:1406.1078, with the reset gate applied after the product, as in torch.
GRU = Cell(
    3,
    2,
    "(r * h_n, n := tanh(n), n + z * (h - n))",
    """(grad * (h - n) * (1 - z) * z, grad * z, d_n := grad * (1 - z) * (1 - n * n), d_n * r,
        d_n * h_n * (1 - r) * r)""",
)
#: Cells in the order of cuDNN's RNN modes. Source: aten/src/ATen/native/cudnn/RNN.cpp of torch.
CELLS = (RELU, TANH, LSTM, GRU)


@formula("aten::mkldnn_rnn_layer")
def mkldnn_layer(
    input: TensorSpec, weight0: TensorSpec, weight1: TensorSpec, hx_: TensorSpec, cx_: TensorSpec,
    has_biases: bool, hidden_size: int, mode: int,
) -> Cost:  # fmt: skip
    """Count one layer in one direction, whatever ``num_layers`` and ``bidirectional`` say: each call is one layer.

    Without biases the operator receives the matrices in their place, and does not read them a second time.
    """
    tokens = prod(input.shape[:-1])
    bytes_without_biases = sum(operand.bytes for operand in (input, weight0, weight1, hx_, cx_))
    cost = step(
        CELLS[mode], tokens * hidden_size, biases=has_biases, macs=tokens * (prod(weight0.shape) + prod(weight1.shape))
    )
    return cost if has_biases else replace(cost, bytes_read=bytes_without_biases)


@formula("aten::mkldnn_rnn_layer_backward")
def mkldnn_layer_backward(
    input: Shape, weight1: Shape, weight2: Shape, has_biases: bool, hidden_size: int, mode: int
) -> Cost:
    """Count the gradients of input, hidden states and weights; both biases share one gradient."""
    tokens = prod(input[:-1])
    return _backward(CELLS[mode], tokens, hidden_size, 2 * tokens * (prod(weight1) + prod(weight2)), sums=has_biases)


@formula("aten::_cudnn_rnn", "aten::miopen_rnn")
def device_rnn(
    input: Shape, weight: Weights, weight_stride0: int, mode: int, hidden_size: int,
    num_layers: int, dropout: Number, train: bool, bidirectional: bool,
) -> Cost:  # fmt: skip
    """Count all layers and directions; dropout in training adds three FLOPs per element between two layers."""
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
    """Count the gradients of all layers, and of the weights if the last entry of *output_mask* is set."""
    tokens, of_weights = prod(input[:-1]), output_mask[-1]
    macs = tokens * _in_matrices(weight) * (1 + of_weights)
    sums = 2 * (of_weights and weight_stride0 in _WITH_BIASES)
    return _backward(CELLS[mode], tokens, hidden_size * num_layers * (1 + bidirectional), macs, sums=sums)


@formula("aten::_lstm_mps")
def mps_lstm(
    input: Shape, hx: Weights, params: Weights, has_biases: bool, num_layers: int, bidirectional: bool
) -> Cost:
    """Count all layers and directions; dropout is not counted."""
    tokens = prod(input[:-1])
    units = tokens * hx[1].shape[-1] * num_layers * (1 + bidirectional)
    return step(LSTM, units, biases=has_biases, macs=tokens * _in_matrices(params))


@formula("aten::_thnn_fused_lstm_cell")
def lstm_cell(cx: TensorSpec, input_bias: Shape | None) -> Cost:
    """Count the elementwise part of one LSTM step; the gate products are separate operators."""
    return step(LSTM, numel(cx), biases=input_bias is not None)


@formula("aten::_thnn_fused_gru_cell")
def gru_cell(hx: TensorSpec, input_bias: Shape | None) -> Cost:
    """Count the elementwise part of one GRU step; the gate products are separate operators."""
    return step(GRU, numel(hx), biases=input_bias is not None)


@formula("aten::_thnn_fused_lstm_cell_backward_impl")
def lstm_cell_backward(cx: Shape, has_bias: bool) -> Cost:
    """Count the gradients of the gates, the cell state and the biases, which share one gradient."""
    return _backward(LSTM, cx[0], cx[1], 0, sums=has_bias)


@formula("aten::_thnn_fused_gru_cell_backward")
def gru_cell_backward(grad_hy: Shape, has_bias: bool) -> Cost:
    """Count the gradients of the gates, the hidden state and the two biases, whose gradients differ."""
    return _backward(GRU, grad_hy[0], grad_hy[1], 0, sums=2 * has_bias)


def step(cell: Cell, units: int, *, biases: bool, macs: int = 0) -> Cost:
    """Return the elementwise cost of *units* hidden units, summed over all tokens, with *macs* added."""
    sigmoid, state = operations(ACTIVATIONS["sigmoid"], {}), operations(cell.forward, {})
    sums = cell.gates * (3 if biases else 1)
    return Cost(
        macs=macs,
        other_flops=units * (sums + cell.sigmoids * sigmoid.flops + state.flops),
        transcendentals=units * (cell.sigmoids * sigmoid.transcendentals + state.transcendentals),
    )


def _backward(cell: Cell, tokens: int, units: int, macs: int, *, sums: int) -> Cost:
    """Return the cost of the gradients of *units* hidden units per token, and of *sums* distinct bias gradients."""
    each = operations(cell.backward, {})
    bias_sums = sums * reduction_ops(tokens * cell.gates * units, cell.gates * units)
    return Cost(
        macs=macs,
        other_flops=tokens * units * each.flops + bias_sums,
        transcendentals=tokens * units * each.transcendentals,
    )


def _in_matrices(weights: Weights) -> int:
    """Return the number of matrix elements in *weights*; vectors are biases."""
    return sum(prod(weight.shape) for weight in weights if len(weight.shape) == _MATRIX)
