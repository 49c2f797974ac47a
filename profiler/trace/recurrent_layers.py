"""LSTM, GRU and Elman RNN, composed of the operators that torch composes them of on the CPU.

The products of the input with its weights are computed for the whole sequence at once, and those of the hidden state
step by step. Legend: T steps, N sequences of a batch, I inputs, H hidden units; a packed sequence is ``(T·N, I)``, the
sequences of each step together.

Source: aten/src/ATen/native/RNN.cpp of torch (FullLayer, PackedLayer, apply_layer_stack and the cells).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import linear

#: The hidden state of a layer; of an LSTM, that and the cell state.
State = tuple[torch.Tensor, ...]


class Weights(NamedTuple):
    """The parameters of a layer in one direction: those of the input, of the hidden state, and of a projection."""

    input: torch.Tensor
    hidden: torch.Tensor
    input_bias: torch.Tensor | None = None
    hidden_bias: torch.Tensor | None = None
    projection: torch.Tensor | None = None


#: Computes the next state from the products of one step's input, the state, and the weights.
Cell = Callable[[torch.Tensor, State, Weights], State]
#: Runs one layer in each direction: from its input, states and weights to its output and the final states.
Layer = Callable[[torch.Tensor, list[State], list[Weights]], tuple[torch.Tensor, list[State]]]


def group_weights(parameters: Sequence[torch.Tensor], *, biases: bool, projected: bool) -> list[Weights]:
    """Return the weights of each layer and direction, from the list of all parameters."""
    size = 2 + 2 * biases + projected
    return [_weights(parameters[i : i + size], biases, projected) for i in range(0, len(parameters), size)]


def tanh_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """Return the state of an Elman RNN with a hyperbolic tangent."""
    return (torch.tanh(_hidden_product(state, weights).add_(x)),)


def relu_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """Return the state of an Elman RNN with a rectifier."""
    return (torch.relu(_hidden_product(state, weights).add_(x)),)


def gru_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """Return the state of a GRU."""
    x_reset, x_update, x_new = x.unsafe_chunk(3, 1)
    h_reset, h_update, h_new = _hidden_product(state, weights).unsafe_chunk(3, 1)
    reset = h_reset.add_(x_reset).sigmoid_()
    update = h_update.add_(x_update).sigmoid_()
    new = x_new.add(h_new.mul_(reset)).tanh_()
    return ((state[0] - new).mul_(update).add_(new),)


def lstm_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """Return the hidden state, projected if there is a projection, and the cell state of an LSTM."""
    gates = _hidden_product(state, weights).add_(x)
    i, f, g, o = gates.unsafe_chunk(4, 1)
    i.sigmoid_()
    f.sigmoid_()
    g.tanh_()
    o.sigmoid_()
    cell = (f * state[1]).add_(i * g)
    hidden = o * cell.tanh()
    if weights.projection is not None:
        hidden = torch.matmul(hidden, weights.projection.t())
    return hidden, cell


class StepLayer:
    """Runs one layer step by step."""

    def __init__(self, cell: Cell, batch_sizes: list[int] | None = None) -> None:
        """Take the computation of one step, and the number of sequences at each step if the input is packed."""
        self._cell, self._batch_sizes = cell, batch_sizes

    def __call__(
        self, x: torch.Tensor, states: list[State], weights: list[Weights]
    ) -> tuple[torch.Tensor, list[State]]:
        """Return the output, and the final state of each direction."""
        if self._batch_sizes is not None:
            runs = zip((_run_packed, _run_packed_reversed), states, weights, strict=False)
            results = [run(self._cell, x, state, given, self._batch_sizes) for run, state, given in runs]
            outputs, final = map(list, zip(*results, strict=True))
            return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1), final
        return self._run(x, states, weights)

    def _run(self, x: torch.Tensor, states: list[State], weights: list[Weights]) -> tuple[torch.Tensor, list[State]]:
        """Run an input that is not packed. Kept until the end is what torch keeps, for the same peak."""
        products = _input_product(x, weights[0])
        steps = products.unbind(0)
        outputs, state = self._steps(steps, states[0], weights[0])
        output = torch.stack(outputs, 0)
        if len(weights) == 1:
            return output, [state]
        products = _input_product(x, weights[1])
        steps = products.unbind(0)
        backward_outputs, backward_state = self._steps(steps[::-1], states[1], weights[1])
        backward_output = torch.stack(backward_outputs[::-1], 0)
        return torch.cat([output, backward_output], -1), [state, backward_state]

    def _steps(self, steps: Sequence[torch.Tensor], state: State, weights: Weights) -> tuple[list[torch.Tensor], State]:
        outputs = []
        for step in steps:
            state = self._cell(step, state, weights)
            outputs.append(state[0])
        return outputs, state


def run_layers(
    layer: Layer, x: torch.Tensor, states: list[State], weights: list[Weights], directions: int, dropout: float
) -> tuple[torch.Tensor, list[State]]:
    """Run a stack of layers.

    Args:
        layer: Runs one of them.
        x: The input, ``(T, N, I)``; packed, ``(T·N, I)``.
        states: The initial state of each layer and direction.
        weights: The weights of each layer and direction.
        directions: 2 if each layer runs backward too, else 1.
        dropout: The probability of dropout between two layers, 0 in evaluation mode.

    Returns:
        The output of the last layer, and the final state of each layer and direction.
    """
    final: list[State] = []
    for first in range(0, len(weights), directions):
        if first and dropout:
            x = torch.dropout(x, dropout, train=True)
        group = slice(first, first + directions)
        x, ended = layer(x, states[group], weights[group])
        final += ended
    return x, final


def _run_packed(
    cell: Cell, x: torch.Tensor, state: State, weights: Weights, batch_sizes: list[int]
) -> tuple[torch.Tensor, State]:
    """Run a packed sequence; the states of the sequences that end are put aside."""
    products = _input_product(x, weights)
    outputs, ended, start, before = [], [], 0, batch_sizes[0]
    for size in batch_sizes:
        step = products.narrow(0, start, size)
        start += size
        if size < before:
            ended.append(_rows(state, size, before))
            state = _rows(state, 0, size)
        before = size
        state = cell(step, state, weights)
        outputs.append(state[0])
    ended.append(state)
    return torch.cat(outputs, 0), _concatenate(ended[::-1])


def _run_packed_reversed(
    cell: Cell, x: torch.Tensor, initial: State, weights: Weights, batch_sizes: list[int]
) -> tuple[torch.Tensor, State]:
    """Run a packed sequence backward; the states of the sequences that begin are added."""
    products = _input_product(x, weights)
    outputs, end, before = [], products.shape[0], batch_sizes[-1]
    state = _rows(initial, 0, before)
    for size in reversed(batch_sizes):
        if size > before:
            state = _concatenate([state, _rows(initial, before, size)])
        step = products.narrow(0, end - size, size)
        end -= size
        before = size
        state = cell(step, state, weights)
        outputs.append(state[0])
    return torch.cat(outputs[::-1], 0), state


def _weights(group: Sequence[torch.Tensor], biases: bool, projected: bool) -> Weights:
    input_bias, hidden_bias = group[2:4] if biases else (None, None)
    return Weights(group[0], group[1], input_bias, hidden_bias, group[-1] if projected else None)


def _input_product(x: torch.Tensor, weights: Weights) -> torch.Tensor:
    return linear(x, weights.input, weights.input_bias)


def _hidden_product(state: State, weights: Weights) -> torch.Tensor:
    return linear(state[0], weights.hidden, weights.hidden_bias)


def _rows(state: State, start: int, end: int) -> State:
    return tuple(tensor.narrow(0, start, end - start) for tensor in state)


def _concatenate(states: list[State]) -> State:
    return tuple(torch.cat(tensors, 0) for tensors in zip(*states, strict=True))
