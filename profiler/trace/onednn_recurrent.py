"""LSTM layers of oneDNN on ``meta``: which they are, and the workspace that each keeps for its backward pass.

Source: aten/src/ATen/native/RNN.cpp (use_mkldnn) and aten/src/ATen/native/mkldnn/RNN.cpp (mkldnn_rnn) of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.recurrent_layers import State, Weights

RNN_LAYER = torch.ops.aten.mkldnn_rnn_layer.default
RNN_LAYER_BACKWARD = torch.ops.aten.mkldnn_rnn_layer_backward.default
_DTYPES = frozenset({torch.float32, torch.bfloat16, torch.float16})
#: The position of an argument of the layer.
_HIDDEN_SIZE = 10
_LSTM_MODE = 2
#: The positions of the gradients of the two biases among the results of the backward pass.
_BIAS_GRADIENTS = (3, 4)
#: oneDNN begins each part of a workspace at a new page, and each row of a matrix at a new cache line.
_PAGE_BYTES, _LINE_BYTES = 4096, 64
#: Rows of such a number of elements, or of a multiple of it, get another cache line.
_ALIASED_ELEMENTS = 256


class OneDnnLayer:
    """Runs one layer, each direction as one operator."""

    def __init__(self, weights: list[Weights], directions: int) -> None:
        """Take the weights of all layers, for the arguments of the operator that describe the stack."""
        self._stack = len(weights) // directions, weights[0].input_bias is not None, directions > 1
        #: Torch keeps the outputs of a layer until the next one has run.
        self._outputs: list[torch.Tensor] = []

    @staticmethod
    def accepts(x: torch.Tensor) -> bool:
        """Return whether an LSTM with this input on ``meta`` is one operator a layer.

        In 16 bits only some CPUs have it, but all GPUs do (cuDNN). The count does not depend on the machine's CPU.
        """
        return torch.backends.mkldnn.is_available() and x.dtype in _DTYPES and x.numel() > 0

    def __call__(
        self, x: torch.Tensor, states: list[State], weights: list[Weights]
    ) -> tuple[torch.Tensor, list[State]]:
        """Return the output, and the final state of each direction."""
        final: list[State] = []
        for direction, (state, given) in enumerate(zip(states, weights, strict=True)):
            output, hidden, cell = self._run(x, state, given, reverse=direction > 0)
            self._outputs[direction : direction + 1] = [output]
            final.append((hidden, cell))
        return output if len(weights) == 1 else torch.cat(self._outputs, -1), final

    def _run(self, x: torch.Tensor, state: State, weights: Weights, *, reverse: bool) -> tuple[torch.Tensor, ...]:
        layers, has_biases, bidirectional = self._stack
        hidden_size, train, batch_first = state[0].shape[-1], False, False
        matrices = weights.input, weights.hidden
        biases: tuple[torch.Tensor | None, ...] = weights.input_bias, weights.hidden_bias
        if not has_biases:
            biases = tuple(torch.zeros(matrix.shape, dtype=x.dtype, device=x.device) for matrix in matrices)
        results: tuple[torch.Tensor, ...] = RNN_LAYER(
            x, *matrices, *biases, *state, reverse, [], _LSTM_MODE, hidden_size, layers, has_biases, bidirectional,
            batch_first, train,
        )  # fmt: skip
        return results[:3]


def _run_layer(*args: Any) -> Any:
    """Run a layer; on ``meta`` with the workspace that the CPU keeps while gradients are enabled."""
    results, x = RNN_LAYER(*args), args[0]
    if not (x.is_meta and torch.is_grad_enabled()):
        return results
    steps, batch, inputs = x.shape
    size = workspace_bytes(steps, batch, inputs, args[_HIDDEN_SIZE], x.itemsize)
    return *results[:3], torch.empty(size, dtype=torch.uint8, device="meta")


def _run_layer_backward(*args: Any) -> Any:
    """Run the backward pass of a layer; on ``meta`` too the gradients are seven tensors of float32.

    That of a bias is a vector, also where a matrix of zeros stands for the bias (its shape on ``meta`` in torch 2.11).
    """
    results = RNN_LAYER_BACKWARD(*args)
    if not args[0].is_meta:
        return results
    shapes = [result.shape[:1] if i in _BIAS_GRADIENTS else result.shape for i, result in enumerate(results)]
    return tuple(torch.empty(shape, dtype=torch.float32, device="meta") for shape in shapes)


#: What runs in the place of an operator.
ONEDNN_KERNELS: dict[Any, Callable[..., Any]] = {RNN_LAYER: _run_layer, RNN_LAYER_BACKWARD: _run_layer_backward}


def workspace_bytes(steps: int, batch: int, inputs: int, hidden: int, itemsize: int) -> int:
    """Return the bytes that one layer in one direction keeps: gates, hidden states, states, and their gradients.

    Source: src/cpu/rnn/rnn_utils.hpp (set_workspace_sizes) and rnn_utils.cpp (set_offsets) of oneDNN.
    """
    widest, states = max(inputs, hidden), 2 * (steps + 1) * batch
    parts = (
        steps * batch * _row_bytes(4 * hidden, itemsize),
        steps * batch * _row_bytes(hidden, itemsize),
        states * _row_bytes(widest, itemsize),
        states * hidden * itemsize,
        states * _row_bytes(widest, 4),
        states * _row_bytes(widest, 4),
        states * hidden * 4,
    )
    return sum(-(-part // _PAGE_BYTES) * _PAGE_BYTES for part in parts)


def _row_bytes(elements: int, itemsize: int) -> int:
    """Return the bytes of a row of a matrix with its padding."""
    line = _LINE_BYTES // itemsize
    padded = -(-elements // line) * line
    return (padded + line * (padded % _ALIASED_ELEMENTS == 0)) * itemsize
