"""The table of formulas, and the decorator that fills it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch._ops import OpOverload, OpOverloadPacket

from profiler.errors import FormulaError, one_line
from profiler.values.records import Cost, OpRecord, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R", bound="Callable[..., Cost | None]")

_FORMULAS: dict[str, Formula] = {}


@dataclass(frozen=True, slots=True)
class Formula:
    """A function from the arguments of one call to its cost, or to None where they do not tell it."""

    function: Callable[..., Cost | None]
    #: The parameters, each with whether it wants the shape alone.
    parameters: tuple[tuple[str, bool], ...]
    #: Those with a default: torch gave the operator that argument in a later version.
    optional: frozenset[str] = frozenset()

    def __call__(self, record: OpRecord) -> Cost | None:
        """Evaluate for one call of *record*; None where the cost cannot be told.

        Raises:
            FormulaError: The function raised; the message names the operator and its shapes.
        """
        known = dict(record.arguments) | {"out": record.results[0] if record.results else None}
        try:
            given = {name: bare for name, bare in self.parameters if name in known or name not in self.optional}
            return self.function(**{name: _shape(known[name]) if bare else known[name] for name, bare in given.items()})
        except Exception as error:
            msg = f"the formula of {record.operator} raised {one_line(error)} on {_describe(record)}"
            raise FormulaError(msg) from error


def formula(*operators: str | OpOverload | OpOverloadPacket) -> Callable[[R], R]:
    """Register the decorated function as the formula of *operators*.

    Each is ``torch.ops.library.name``, or its text ``"library::name"``, with an overload or for all of them.
    An in-place operator (``name_``) and an ``out`` overload use the formula of their functional form.

    Raises:
        FormulaError: A parameter is not an argument of the operator.

    Example:
        >>> import profiler
        >>> lib = torch.library.Library("doctest_registry", "DEF")
        >>> _ = lib.define("scan(Tensor x, Tensor a) -> Tensor")
        >>> @profiler.formula("doctest_registry::scan")
        ... def scan(x: Shape) -> Cost:
        ...     return Cost(other_flops=2 * math.prod(x))
    """

    def register(function: R) -> R:
        entry = Formula(function, _parameters(function), _optional(function))
        for operator in operators:
            name = _dotted(operator)
            _check(name, entry)
            _FORMULAS[name] = entry
        return function

    return register


def find(name: str) -> Formula | None:
    """Look one name up."""
    return _FORMULAS.get(name)


def registered() -> list[str]:
    """List every name that has a formula."""
    return sorted(_FORMULAS)


def overloads(name: str) -> list[OpOverload]:
    """List the operators behind ``library.name[.overload]`` in this version of torch; none where it lacks them."""
    library, _, rest = name.partition(".")
    packet_name, _, overload = rest.partition(".")
    packet = getattr(getattr(torch.ops, library), packet_name, None)
    if not isinstance(packet, OpOverloadPacket):
        return []
    return [getattr(packet, o) for o in packet.overloads() if overload in {"", o}]


def _dotted(operator: str | OpOverload | OpOverloadPacket) -> str:
    if isinstance(operator, OpOverload):
        return str(operator)
    return str(operator).replace("::", ".")


def _parameters(function: Callable[..., Cost | None]) -> tuple[tuple[str, bool], ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple((p.name, _is_shape(p.annotation)) for p in parameters)


def _optional(function: Callable[..., Cost | None]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(p.name for p in parameters if p.default is not p.empty)


def _is_shape(annotation: object) -> bool:
    """Know ``Shape``, or ``Shape | None``, whether the annotation is text or was evaluated."""
    text = str(annotation)
    return "Shape" in text or str(Shape) in text


def _check(name: str, entry: Formula) -> None:
    """Refuse a parameter that no overload of the operator has, save one with a default."""
    found = overloads(name)
    known = {argument.name for overload in found for argument in overload._schema.arguments} | {"out"}
    unknown = [name for name, _ in entry.parameters if name not in known | entry.optional]
    if found and unknown:
        msg = f"the formula of {name} asks for {', '.join(unknown)}; its schema has {', '.join(sorted(known))}"
        raise FormulaError(msg)


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, TensorSpec) else value


def _describe(record: OpRecord) -> str:
    return ", ".join(f"{name}={_shape(value)}" for name, value in record.arguments if value is not None)
