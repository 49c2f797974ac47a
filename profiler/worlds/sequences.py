"""Divide sequences over the ranks of the axis cp: each rank has a part of every sequence, and attention exchanges."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from profiler.errors import InputError
from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ATTENTION = torch._C._nn.scaled_dot_product_attention
_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
#: The dimension of queries, keys and values along which their sequence lies, and that of inputs.
_SEQUENCE, _INPUT_SEQUENCE = 2, 1
#: Layers that mix along the sequence, and would need an exchange that no recipe of torch has.
_MIXING = (nn.RNNBase, nn.Conv1d)


def share_of_sequence(inputs: Any, ranks: int) -> Any:
    """Return inputs on meta with the part of each sequence that one rank has.

    Raises:
        InputError: An input has no sequence, or it does not divide.
    """
    for tensor in tree_leaves(inputs):
        if isinstance(tensor, torch.Tensor):
            _check_sequence(tuple(tensor.shape), ranks)

    def share(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.narrow(_INPUT_SEQUENCE, 0, tensor.shape[_INPUT_SEQUENCE] // ranks).contiguous()

    return tree_map_only(torch.Tensor, share, inputs) if ranks > 1 else inputs


def _check_sequence(shape: tuple[int, ...], ranks: int) -> None:
    if ranks > 1 and (len(shape) <= _INPUT_SEQUENCE or shape[_INPUT_SEQUENCE] % ranks):
        size = "×".join(map(str, shape)) or "a scalar"
        msg = (
            f"--context-parallel divides dimension 1 of each input, its sequence; that of {size} does not divide over "
            f"cp={ranks}"
        )
        raise InputError(msg)


class RingAttention(TorchFunctionMode):
    """Replaces scaled dot-product attention in the block by the same over the sequences of all ranks of a group.

    Keys and values are exchanged over the process group.
    """

    def __init__(self, group: Any) -> None:
        """Take the process group of the axis cp."""
        super().__init__()
        self._group = group
        self._calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function of torch, or this attention in its place."""
        if func is not _ATTENTION:
            return func(*args, **kwargs or {})
        self._calls += 1
        return _attention(self._group, *args, **kwargs or {})

    def check_calls(self, model: nn.Module) -> None:
        """Raise if the ranks of the group have not exchanged anything.

        Raises:
            InputError: The model called no attention that exchanges.
        """
        if not self._calls:
            msg = (
                f"{type(model).__name__} calls no torch.nn.functional.scaled_dot_product_attention, which is where "
                "ranks of the axis cp exchange; use another axis of the mesh"
            )
            raise InputError(msg)


def check_mixing(model: nn.Module) -> None:
    """Raise if a layer mixes along the sequence in another way than attention.

    Raises:
        InputError: There is such a layer.
    """
    for path, module in model.named_modules():
        if isinstance(module, _MIXING):
            msg = f"{path} ({type(module).__name__}) mixes along the sequence, and context parallelism exchanges in "
            raise InputError(msg + "attention alone; use another axis of the mesh")


def _attention(
    group: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Return the attention of this rank's queries to the keys and values of all ranks."""
    del enable_gqa  # the shapes tell
    if attn_mask is not None or dropout_p:
        what = "a mask" if attn_mask is not None else "dropout"
        msg = f"the model passes {what} to attention, which torch does not divide over the axis cp; only is_causal is"
        raise InputError(msg)
    length = query.shape[_SEQUENCE]
    if is_causal and length % 2:
        ranks = group.size()
        msg = (
            f"causal attention gives each of cp={ranks} ranks two parts of a sequence, and {ranks * length} tokens do "
            f"not divide; choose a multiple of {2 * ranks}"
        )
        raise InputError(msg)
    output: torch.Tensor = _Ring.apply(group, query, key, value, is_causal, scale)
    return output


class _Ring(torch.autograd.Function):
    """Ring attention of torch, with the kernel of the CPU."""

    @staticmethod
    def forward(
        ctx: Any,
        group: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        is_causal: bool,
        scale: float | None,
    ) -> torch.Tensor:
        """Return the attention; keep what the backward pass needs."""
        output: torch.Tensor
        with _balanced(is_causal):
            output, logsumexp, *_ = find("_templated_ring_attention")(
                group, _SEQUENCE, _flash(scale), query, key, value, is_causal=is_causal
            )
        ctx.save_for_backward(query, key, value, output, logsumexp)
        ctx.options = (group, is_causal, scale)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        group, is_causal, scale = ctx.options
        query, key, value, output, logsumexp = ctx.saved_tensors
        with _balanced(is_causal):
            gradients = find("_templated_ring_attention_backward")(
                group,
                _SEQUENCE,
                _flash_backward(scale),
                gradient,
                "grad_out",
                query,
                key,
                value,
                output,
                logsumexp,
                is_causal,
            )
        return (None, *gradients[:3], None, None)


def _flash(scale: float | None) -> Callable[..., Any]:
    """Return the kernel in the form that the ring calls."""

    def run(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, is_causal: bool) -> Any:
        key, value = (_repeated(x, query) for x in (key, value))
        return _FLASH(query, key, value, 0.0, is_causal, scale=scale)

    return run


def _flash_backward(scale: float | None) -> Callable[..., Any]:
    """Return the kernel of the backward pass in the form that the ring calls."""

    def run(*, grad_out: Any, query: Any, key: Any, value: Any, out: Any, logsumexp: Any, is_causal: bool) -> Any:
        whole = [_repeated(x, query) for x in (key, value)]
        by_query, *others = _FLASH_BACKWARD(grad_out, query, *whole, out, logsumexp, 0.0, is_causal, scale=scale)
        return (by_query, *(_summed(x, key) for x in others))

    return run


def _repeated(shared: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Return keys or values with a head for each of the query's, which may share them."""
    times = query.shape[1] // shared.shape[1]
    return shared if times == 1 else shared.repeat_interleave(times, dim=1)


def _summed(gradient: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the heads that queries share."""
    times = gradient.shape[1] // shared.shape[1]
    return gradient if times == 1 else gradient.unflatten(1, (-1, times)).sum(dim=2)


@contextmanager
def _balanced(is_causal: bool) -> Iterator[None]:
    """Let a rank have two parts of a causal sequence, one near its beginning and one near its end; torch's default."""
    options = find("_cp_options")
    before = options.enable_load_balance
    options.enable_load_balance = is_causal
    try:
        yield
    finally:
        options.enable_load_balance = before
