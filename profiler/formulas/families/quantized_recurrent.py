"""Dynamically quantized recurrent layers and cells.

Legend: as in ``recurrent.py``. The two products of every layer, direction and step are dynamic quantized linear layers:
each quantizes its operand to the operand's own range and scales its sums back. With float16 weights there is no
quantization and no scaling.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from profiler.formulas.families.quantization import dynamic_quantization_flops
from profiler.formulas.families.recurrent import GRU, LSTM, RELU, TANH, Cell, step
from profiler.formulas.registry import formula
from profiler.values.records import Cost, Shape, TensorSpec

#: The initial states: the hidden state and, for an LSTM, the cell state.
States = tuple[TensorSpec, ...]


@formula("aten::quantized_lstm.input")
def lstm(input: Shape, hx: States, has_biases: bool, bidirectional: bool, batch_first: bool, dtype: str | None) -> Cost:
    """Count an LSTM on sequences of equal length."""
    steps = input[1 if batch_first else 0]
    return _layers(LSTM, input, hx[0].shape, steps, has_biases, 1 + bidirectional, dtype)


@formula("aten::quantized_lstm.data")
def packed_lstm(
    data: Shape, batch_sizes: Shape, hx: States, has_biases: bool, bidirectional: bool, dtype: str | None
) -> Cost:
    """Count an LSTM on packed sequences, with one step per batch size."""
    return _layers(LSTM, data, hx[0].shape, batch_sizes[0], has_biases, 1 + bidirectional, dtype)


@formula("aten::quantized_gru.input")
def gru(input: Shape, hx: Shape, has_biases: bool, bidirectional: bool, batch_first: bool) -> Cost:
    """Count a GRU on sequences of equal length, assuming 8-bit weights."""
    return _layers(GRU, input, hx, input[1 if batch_first else 0], has_biases, 1 + bidirectional, None)


@formula("aten::quantized_gru.data")
def packed_gru(data: Shape, batch_sizes: Shape, hx: Shape, has_biases: bool, bidirectional: bool) -> Cost:
    """Count a GRU on packed sequences, with one step per batch size, assuming 8-bit weights."""
    return _layers(GRU, data, hx, batch_sizes[0], has_biases, 1 + bidirectional, None)


@formula("quantized::quantized_lstm_cell_dynamic")
def lstm_cell(input: Shape, hx: States) -> Cost:
    """Count one step of an LSTM."""
    return _layer(LSTM, prod(input[:-1]), input[-1], hx[0].shape[-1], 1, biases=True, scaled=True)


@formula("quantized::quantized_gru_cell_dynamic")
def gru_cell(input: Shape, hx: Shape) -> Cost:
    """Count one step of a GRU."""
    return _layer(GRU, prod(input[:-1]), input[-1], hx[-1], 1, biases=True, scaled=True)


@formula("quantized::quantized_rnn_relu_cell_dynamic")
def relu_cell(input: Shape, hx: Shape) -> Cost:
    """Count one step of an Elman RNN with ReLU."""
    return _layer(RELU, prod(input[:-1]), input[-1], hx[-1], 1, biases=True, scaled=True)


@formula("quantized::quantized_rnn_tanh_cell_dynamic")
def tanh_cell(input: Shape, hx: Shape) -> Cost:
    """Count one step of an Elman RNN with tanh."""
    return _layer(TANH, prod(input[:-1]), input[-1], hx[-1], 1, biases=True, scaled=True)


def _layers(cell: Cell, input: Shape, hx: Shape, steps: int, biases: bool, directions: int, dtype: str | None) -> Cost:
    """Count all layers: the first reads the input, the others the states of all directions of the layer below."""
    tokens, hidden, layers = prod(input[:-1]), hx[-1], hx[0] // directions
    widths = [input[-1], *[directions * hidden] * (layers - 1)]
    each = [_layer(cell, tokens, width, hidden, steps, biases=biases, scaled=dtype != "float16") for width in widths]
    return Cost(
        macs=directions * sum(cost.macs for cost in each),
        other_flops=directions * sum(cost.other_flops for cost in each),
        transcendentals=directions * sum(cost.transcendentals for cost in each),
    )


def _layer(cell: Cell, tokens: int, width: int, hidden: int, steps: int, *, biases: bool, scaled: bool) -> Cost:
    """Count one layer in one direction; the input is quantized once, the hidden state at every step."""
    gates = cell.gates * hidden
    cost = step(cell, tokens * hidden, biases=biases, macs=tokens * gates * (width + hidden))
    if not scaled:
        return cost
    ranges = dynamic_quantization_flops(tokens * width) + dynamic_quantization_flops(tokens * hidden) - 2 * (steps - 1)
    return replace(cost, other_flops=cost.other_flops + ranges + 2 * tokens * gates)
