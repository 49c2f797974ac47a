"""A distinct call of an operator: the key under which it is counted, and the record made of it afterwards."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.trace.argument_specs import DETACHED, detach
from profiler.values.records import UNSEEN_WORK, OpRecord

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


class UnseenKernel(NamedTuple):
    """In the place of an operator: a kernel that is none."""


class WholeKernel(NamedTuple):
    """In the place of an operator: a call that is counted by a formula of its class."""

    name: str
    #: The names of the arguments.
    arguments: tuple[str, ...]


class _Signature(NamedTuple):
    """What the schema of an operator says, read once for each."""

    name: str
    #: The names of the arguments, and their defaults.
    names: tuple[str, ...]
    defaults: tuple[tuple[str, Value], ...]
    mutated: tuple[str, ...]
    aliases: tuple[int, ...]


@cache
def _signature(operator: Any) -> _Signature:
    schema = operator._schema
    return _Signature(
        str(operator),
        tuple(a.name for a in schema.arguments),
        tuple((a.name, detach(a.default_value)) for a in schema.arguments),
        tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write),
        tuple(i for i, r in enumerate(schema.returns) if r.alias_info is not None),
    )


def to_record(call: OperatorCall, times: int) -> OpRecord:
    """Return the record of a call made so many *times*: without torch objects, its arguments by their schema names."""
    operator, module, phase, args, kwargs, results = call
    results = detach(results) if type(results) is tuple else (detach(results),)
    if isinstance(operator, UnseenKernel):
        return OpRecord(UNSEEN_WORK, module, phase, (), results, times)
    if isinstance(operator, WholeKernel):
        named = tuple(zip(operator.arguments, map(detach, args), strict=True))
        return OpRecord(operator.name, module, phase, named, results, times)
    if not hasattr(operator, "_schema"):
        name, arguments = f"higher_order.{operator}", _bind_by_signature(operator, args, kwargs)
        return OpRecord(name, module, phase, arguments, results, times)
    signature = _signature(operator)
    return OpRecord(
        signature.name,
        module,
        phase,
        _bind(signature, args, kwargs),
        results,
        times,
        signature.mutated,
        signature.aliases,
    )


def _bind(
    signature: _Signature, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Value], ...]:
    """Pair arguments with the schema's names, and fill in the defaults."""
    given = tuple([(n, v if type(v) in DETACHED else detach(v)) for n, v in zip(signature.names, args, strict=False)])
    rest = signature.defaults[len(args) :]
    if not kwargs:
        return given + rest
    named = dict(kwargs)
    return given + tuple([(name, detach(named[name]) if name in named else value) for name, value in rest])


def _bind_by_signature(
    operator: Any, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Value], ...]:
    """Pair the arguments of a higher-order operator, which has no schema, with the parameters of its ``__call__``."""
    parameters = inspect.signature(type(operator).__call__).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    names += [f"input{i}" for i in range(len(names), len(args))]
    return tuple((name, detach(value)) for name, value in (*zip(names, args, strict=False), *kwargs))
