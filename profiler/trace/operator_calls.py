"""A distinct call of an operator: as it is told apart while a model runs, and as a record afterwards."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from profiler.trace.argument_specs import dtype_name
from profiler.values.records import OpRecord, TensorSpec

if TYPE_CHECKING:
    from profiler.values.records import Phase, Value


class Call(NamedTuple):
    """The identity of a piece of work. A tuple, since it is made and hashed for every operator that runs."""

    operator: Any
    module: str
    phase: Phase
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    results: Any


def record(call: Call, times: int) -> OpRecord:
    """Put a call into words: without a tensor, without torch, its arguments under the names of the schema."""
    schema = getattr(call.operator, "_schema", None)
    results = call.results if type(call.results) is tuple else (call.results,)
    if schema is None:
        return OpRecord(
            operator=f"higher_order.{call.operator}",
            module=call.module,
            phase=call.phase,
            arguments=_bind_by_signature(call.operator, call.args, call.kwargs),
            results=inert(results),
            calls=times,
        )
    return OpRecord(
        operator=str(call.operator),
        module=call.module,
        phase=call.phase,
        arguments=_bind(schema, call.args, dict(call.kwargs)),
        results=inert(results),
        calls=times,
        mutated=tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write),
        aliases=tuple(i for i, r in enumerate(schema.returns) if r.alias_info is not None),
    )


def _bind(schema: Any, args: Any, kwargs: dict[str, Any]) -> tuple[tuple[str, Value], ...]:
    """Pair observed arguments with the schema's names, and fill in the defaults."""
    given = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
    return tuple((a.name, inert(given.get(a.name, a.default_value))) for a in schema.arguments)


def _bind_by_signature(
    operator: Any, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Value], ...]:
    """Pair the observed arguments of a higher-order operator with the names that its call has."""
    parameters = inspect.signature(type(operator).__call__).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    names += [f"input{i}" for i in range(len(names), len(args))]
    return tuple((name, inert(value)) for name, value in (*zip(names, args, strict=False), *kwargs))


def inert(value: Any) -> Any:
    """Replace what only torch understands by its name."""
    if isinstance(value, TensorSpec) or value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(inert(item) for item in value)
    return dtype_name(value) if isinstance(value, torch.dtype) else str(value)
