"""A distinct call of an operator: the key under which it is counted, and the record made of it afterwards."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.trace.argument_specs import detach
from profiler.values.records import OpRecord

if TYPE_CHECKING:
    from profiler.values.records import Phase, Value


class OperatorCall(NamedTuple):
    """The identity of a call: equal calls are counted together.

    A tuple and not a dataclass, because one is built and hashed for every operator that runs.
    """

    operator: Any
    module: str
    phase: Phase
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    results: Any


def to_record(call: OperatorCall, times: int) -> OpRecord:
    """Return the record of a call made so many *times*: without torch objects, its arguments by their schema names."""
    schema = getattr(call.operator, "_schema", None)
    results = detach(call.results if type(call.results) is tuple else (call.results,))
    if schema is None:
        return OpRecord(
            operator=f"higher_order.{call.operator}",
            module=call.module,
            phase=call.phase,
            arguments=_bind_by_signature(call.operator, call.args, call.kwargs),
            results=results,
            calls=times,
        )
    return OpRecord(
        operator=str(call.operator),
        module=call.module,
        phase=call.phase,
        arguments=_bind(schema, call.args, dict(call.kwargs)),
        results=results,
        calls=times,
        mutated=tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write),
        aliases=tuple(i for i, r in enumerate(schema.returns) if r.alias_info is not None),
    )


def _bind(schema: Any, args: Any, kwargs: dict[str, Any]) -> tuple[tuple[str, Value], ...]:
    """Pair arguments with the schema's names, and fill in the defaults."""
    arguments = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
    return tuple((a.name, detach(arguments.get(a.name, a.default_value))) for a in schema.arguments)


def _bind_by_signature(
    operator: Any, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Value], ...]:
    """Pair the arguments of a higher-order operator, which has no schema, with the parameters of its ``__call__``."""
    parameters = inspect.signature(type(operator).__call__).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    names += [f"input{i}" for i in range(len(names), len(args))]
    return tuple((name, detach(value)) for name, value in (*zip(names, args, strict=False), *kwargs))
