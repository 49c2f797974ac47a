"""What is known of an operator's results from the values of its arguments, operator by operator."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

_aten = torch.ops.aten
#: Fill a new tensor, whatever the values of their arguments; with the position of the size, if they take one.
FILLS = {
    _aten.zeros.default: 0, _aten.ones.default: 0, _aten.full.default: 0, _aten.new_zeros.default: 1,
    _aten.new_ones.default: 1, _aten.new_full.default: 1, _aten.zeros_like.default: None,
    _aten.ones_like.default: None, _aten.full_like.default: None,
}  # fmt: skip
#: Write all elements of their first argument, whatever it held.
OVERWRITES = frozenset({_aten.fill_.Scalar, _aten.fill_.Tensor, _aten.zero_.default, _aten.copy_.default})
#: Operators beside the elementwise ones whose results for equal elements are those for one of them.
_OF_EQUALS = frozenset({
    _aten.all.default, _aten.all.dim, _aten.all.dims, _aten.any.default, _aten.any.dim, _aten.any.dims,
    _aten.amax.default, _aten.amin.default, _aten.max.default, _aten.min.default, _aten._to_copy.default,
    _aten.clone.default,
})  # fmt: skip
#: Return memory that nothing has written.
UNWRITTEN = ("aten::empty", "aten::new_empty", "aten::resize", "aten::set_")
#: Return elements of their first argument, whose values are those if all are equal, wherever they are taken from.
SELECTS = frozenset({_aten.index.Tensor, _aten.index_select.default, _aten.gather.default})


def run_on_cpu(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what an operator returns on the CPU; None if it raises there."""
    try:
        return func(*args, **kwargs)
    except Exception:  # noqa: BLE001 - the model gets the error of the operator on meta, if that raises too
        return None


def filled(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: torch.Tensor) -> torch.Tensor | None:
    """Return the value of every element of a tensor that *func* filled."""
    position, call = FILLS[func], list(args)
    if position is not None:
        call[position] = [1]
    if position != 0:
        call[0] = torch.empty(1, dtype=args[0].dtype)
    made = run_on_cpu(func, tuple(call), kwargs | {"device": torch.device("cpu")} | {"dtype": result.dtype})
    return made if isinstance(made, torch.Tensor) else None


def collapsed(value: torch.Tensor) -> torch.Tensor:
    """Return one element of each dimension along which all elements are the same in memory."""
    return value[tuple(slice(1) if step == 0 else slice(None) for step in value.stride())]


def broadcast(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return a tensor on ``meta`` of the size that an elementwise operator returns."""
    return torch.empty(torch.broadcast_shapes(*(tensor.shape for tensor in tensors)), device="meta")


@cache
def is_pure(func: Any) -> bool:
    """Return whether the values of an operator's results follow from those of its arguments."""
    return torch.Tag.nondeterministic_seeded not in func.tags and not func._schema.name.startswith(UNWRITTEN)


@cache
def is_of_equals(func: Any) -> bool:
    """Return whether the results of an operator for equal elements are those for one of them."""
    return torch.Tag.pointwise in func.tags or func in _OF_EQUALS


@cache
def written_positions(func: Any) -> tuple[tuple[int, str], ...]:
    """Return the positions and the names of the arguments that an operator writes to."""
    arguments = enumerate(func._schema.arguments)
    return tuple((i, a.name) for i, a in arguments if a.alias_info is not None and a.alias_info.is_write)


def tensors_among(values: tuple[Any, ...]) -> list[torch.Tensor]:
    """List the tensors among the arguments or the results of an operator."""
    tensors = []
    for value in values:
        if isinstance(value, torch.Tensor):
            tensors.append(value)
        elif isinstance(value, (list, tuple)):
            tensors += [inner for inner in value if isinstance(inner, torch.Tensor)]
    return tensors


def view(elements: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Return the values of a tensor, given the elements of its storage: all in order, or one if all are equal."""
    if elements.numel() == 1:
        return elements.reshape(()).expand(tensor.shape)
    return elements.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def is_plain(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is strided, and of torch's own classes."""
    return (
        type(tensor) in {torch.Tensor, torch.nn.Parameter} and tensor.layout is torch.strided and not tensor.is_nested
    )
