"""Inputs that have values: those of ``--input-file``, and those that a factory returns beside its model.

A tuple is the positional arguments, a dict with names of ``forward``'s parameters the keyword arguments, a tuple of
such a tuple and such a dict both. Anything else is the one positional argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.errors import InputError
from profiler.targets.target import Argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.targets.signatures import ForwardSignature

#: The most values, and the deepest nesting, of one call's inputs.
_MOST_VALUES, _DEEPEST = 100_000, 100


def arguments_of(value: Any, forward: ForwardSignature) -> tuple[Argument, ...]:
    """Return the arguments that *value* stands for in a call of the model with this signature.

    Raises:
        InputError: It has more values, or is nested deeper, than the inputs of any model.
    """
    _check_size(value, forward.model)
    args, kwargs = _split(value, forward)
    return (*map(Argument, args), *(Argument(value, name) for name, value in kwargs.items()))


def _split(value: Any, forward: ForwardSignature) -> tuple[tuple[Any, ...], dict[str, Any]]:
    match value:
        case (tuple() as args, dict() as kwargs) if type(value) is tuple and _are_names(kwargs):
            return args, kwargs
        case tuple():
            return value, {}
        case dict() if _are_names(value) and forward.accepts((), value):
            return (), value
    return (value,), {}


def _are_names(table: dict[Any, Any]) -> bool:
    return all(isinstance(key, str) and key.isidentifier() for key in table)


def _check_size(value: Any, model: str) -> None:
    for count, depth in enumerate(_depths(value)):
        if count > _MOST_VALUES or depth > _DEEPEST:
            msg = f"the inputs of {model} have more than {_MOST_VALUES} values, or are nested deeper than {_DEEPEST}"
            raise InputError(msg)


def _depths(value: Any) -> Iterator[int]:
    """Yield the depth of every value in a nested structure, without recursion: the structure may contain itself."""
    waiting = [(value, 0)]
    while waiting:
        inner, depth = waiting.pop()
        yield depth
        if isinstance(inner, dict):
            waiting.extend((part, depth + 1) for part in inner.values())
        elif isinstance(inner, (list, tuple)):
            waiting.extend((part, depth + 1) for part in inner)
