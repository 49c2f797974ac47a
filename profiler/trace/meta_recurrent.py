"""Recurrent layers on ``meta`` run the operators that they run on the CPU.

Torch has no kernel of ``lstm``, ``gru`` and ``rnn_tanh`` for ``meta``, and takes them apart step by step there. On the
CPU, an LSTM is one operator of oneDNN per layer and direction; what oneDNN does not have multiplies the input of all
steps at once.

Source: aten/src/ATen/native/RNN.cpp (use_mkldnn) and aten/src/ATen/native/mkldnn/RNN.cpp (mkldnn_rnn) of torch.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch._C import DispatchKey

from profiler.trace.onednn_recurrent import OneDnnLayer
from profiler.trace.recurrent_layers import (
    Cell,
    Layer,
    State,
    StepLayer,
    group_weights,
    gru_cell,
    lstm_cell,
    relu_cell,
    run_layers,
    tanh_cell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_aten = torch.ops.aten


@contextmanager
def recurrent_layers_on_meta() -> Iterator[None]:
    """Run recurrent layers on ``meta`` in the block as the CPU does; the dispatcher is changed for all threads."""
    library = torch.library.Library("aten", "IMPL")
    try:
        for overload, kernel in COMPOSITES.items():
            library.impl(overload, kernel, "AutogradMeta")
        yield
    finally:
        library._destroy()


def decompose(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run the parts of a composite operator: on ``meta``, those of a recurrent one on the CPU."""
    kernel = COMPOSITES.get(func)
    if kernel is not None and args[0].is_meta:
        return kernel(*args, **kwargs)
    return func._op_dk(DispatchKey.CompositeImplicitAutograd, *args, **kwargs)


def _lstm(
    x: torch.Tensor,
    hx: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    has_biases: Any,
    _num_layers: int,
    dropout: float,
    train: Any,
    bidirectional: Any,
    batch_first: Any = False,
    *,
    batch_sizes: list[int] | None = None,
) -> tuple[torch.Tensor, ...]:
    """Run an LSTM in oneDNN if the CPU does, else in steps."""
    projected = hx[0].shape[2] != hx[1].shape[2]
    weights, directions = group_weights(parameters, biases=has_biases, projected=projected), 1 + bidirectional
    x = x.transpose(0, 1) if batch_first else x
    layer: Layer = StepLayer(lstm_cell, batch_sizes)
    if batch_sizes is None and not projected and OneDnnLayer.accepts(x):
        layer, x, hx = OneDnnLayer(weights, directions), x.contiguous(), [state.contiguous() for state in hx]
    states: list[State] = list(zip(hx[0].unbind(0), hx[1].unbind(0), strict=True))
    output, final = run_layers(layer, x, states, weights, directions, dropout * train)
    hidden, cells = zip(*final, strict=True)
    return output.transpose(0, 1) if batch_first else output, torch.stack(hidden, 0), torch.stack(cells, 0)


def _rnn(
    cell: Cell,
    x: torch.Tensor,
    hx: torch.Tensor,
    parameters: Sequence[torch.Tensor],
    has_biases: Any,
    _num_layers: int,
    dropout: float,
    train: Any,
    bidirectional: Any,
    batch_first: Any = False,
    *,
    batch_sizes: list[int] | None = None,
) -> tuple[torch.Tensor, ...]:
    """Run a GRU or an Elman RNN in steps."""
    weights, directions = group_weights(parameters, biases=has_biases, projected=False), 1 + bidirectional
    x = x.transpose(0, 1) if batch_first else x
    states: list[State] = [(state,) for state in hx.unbind(0)]
    output, final = run_layers(StepLayer(cell, batch_sizes), x, states, weights, directions, dropout * train)
    hidden = torch.stack([state for (state,) in final], 0)
    return output.transpose_(0, 1) if batch_first else output, hidden


def _packed(kernel: Callable[..., tuple[torch.Tensor, ...]]) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Return the kernel that takes a packed sequence: its data, and the number of sequences at each step."""

    def run(data: torch.Tensor, batch_sizes: torch.Tensor, *arguments: Any) -> tuple[torch.Tensor, ...]:
        return kernel(data, *arguments, batch_sizes=batch_sizes.tolist())

    return run


_KERNELS: dict[str, Callable[..., tuple[torch.Tensor, ...]]] = {
    "lstm": _lstm,
    "gru": partial(_rnn, gru_cell),
    "rnn_tanh": partial(_rnn, tanh_cell),
    "rnn_relu": partial(_rnn, relu_cell),
}
#: The recurrent operators, and what each runs on ``meta``.
COMPOSITES: dict[Any, Callable[..., Any]] = {
    **{getattr(_aten, name).input: kernel for name, kernel in _KERNELS.items()},
    **{getattr(_aten, name).data: _packed(kernel) for name, kernel in _KERNELS.items()},
}
