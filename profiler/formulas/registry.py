"""Register formulas, and look them up by the name of an operator."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from profiler.errors import FormulaError, one_line
from profiler.escaping import quoted
from profiler.util.lazy_imports import LazyModule
from profiler.util.whole_calls import count_whole, name_of
from profiler.values.records import Cost, OpRecord, Shape, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch._ops import OpOverload, OpOverloadPacket

    from profiler.util.whole_calls import Method
else:
    torch = LazyModule("torch")

R = TypeVar("R", bound="Callable[..., Cost | None]")

_FORMULAS: dict[str, Formula] = {}


_OPTIONAL_COUNT = frozenset({int, type(None)})


@dataclass(frozen=True, slots=True)
class Formula:
    """A function that computes the cost of one call from its arguments.

    It returns None if the arguments do not determine the cost.
    """

    function: Callable[..., Cost | None]
    #: The name of each parameter, and whether it is annotated as a shape.
    parameters: tuple[tuple[str, bool], ...]
    #: Parameters with a default: arguments that older versions of the operator lack.
    optional: frozenset[str] = frozenset()

    def __call__(self, record: OpRecord) -> Cost | None:
        """Return the cost of one call of *record*, or None if its arguments do not determine it.

        Raises:
            FormulaError: The function raised. The message names the operator and the shapes of its arguments.
        """
        values = dict(record.arguments)
        values["out"] = record.results[0] if record.results else None
        arguments = {}
        try:
            for name, bare in self.parameters:
                if name in values or name not in self.optional:
                    value = values[name]
                    arguments[name] = value.shape if bare and isinstance(value, TensorSpec) else value
            cost = self.function(**arguments)
        except Exception as error:
            msg = f"the formula of {record.operator} raised {one_line(error)} on {_describe(record)}"
            raise FormulaError(msg) from error
        if cost is not None and not (
            isinstance(cost, Cost)
            and type(cost.macs) is type(cost.other_flops) is type(cost.transcendentals) is int
            and _OPTIONAL_COUNT.issuperset((type(cost.masked_macs), type(cost.bytes_read), type(cost.bytes_written)))
        ):
            msg = f"the formula of {record.operator} returned {quoted(cost)}; return a Cost of integers, or None"
            raise FormulaError(msg)
        return cost


def formula(*operators: str | OpOverload | OpOverloadPacket | type, backward: bool = False) -> Callable[[R], R]:
    """Register the decorated function as the formula of *operators*, or of classes whose kernels are no operators.

    The function's parameters are names of arguments in the operator's schema, and only those on which the cost depends.
    A parameter annotated ``Shape`` receives the shape of a tensor; one annotated ``TensorSpec`` its shape, dtype,
    layout and storage; a list of tensors arrives as a tuple of specs. Of floats only −2, −1, ±0.5, 0, 1, 2, 3, 4 and ±∞
    are kept; any other arrives as the text ``"<float>"``. A parameter ``out`` receives the first result. A parameter
    with a default may be missing from the schema.

    A formula for ``library::name`` holds for all overloads, for the in-place operator ``name_``, and for ``out``
    variants, unless one of these has a formula of its own.

    For a subclass of ``torch.autograd.Function`` or of ``nn.Module``, the parameters are argument names of its
    ``forward``, and ``out``; for a module also names of its attributes, such as ``weight``. The formula stands for all
    that runs inside: operators there are not counted as well. Register it before the profiled block.

    With *backward*, it is the formula of the backward of a Function: it takes the names of ``forward`` and of
    ``backward``, ``output`` for what ``forward`` returned, and ``out`` for the first gradient. Without one, the
    operators in the backward are counted as they run.

    Args:
        operators: Each ``torch.ops.library.name``, or text such as ``"library::name"`` or ``"library::name.overload"``.

        backward: Whether the formula is that of the backward of an ``autograd.Function``.

    Returns:
        A decorator that registers a function and returns it unchanged. The function returns the ``Cost`` of one call,
        or None if the arguments do not determine it; that call is then uncounted.

    Raises:
        FormulaError: A parameter is not an argument of the operator or Function, or a class is of another kind.

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
            if isinstance(operator, type):
                name = _register_class(operator, entry, "backward" if backward else "forward")
            else:
                name = _dotted(operator)
                _check(name, entry)
            _FORMULAS[name] = entry
        return function

    return register


def _register_class(kind: type, entry: Formula, method: Method) -> str:
    """Have calls of a class recorded whole; return the name of the record."""
    if not issubclass(kind, (torch.autograd.Function, torch.nn.Module)):
        msg = f"{kind.__name__} is no autograd.Function and no nn.Module; register a formula for such a class"
        raise FormulaError(msg)
    if issubclass(kind, torch.autograd.Function):
        _check_function(kind, entry, method)
    elif method == "backward":
        msg = f"a module has no backward of its own; register one for the autograd.Function that {kind.__name__} calls"
        raise FormulaError(msg)
    count_whole(kind, method, tuple(name for name, _ in entry.parameters))
    return name_of(kind, method)


def _check_function(kind: Any, entry: Formula, method: Method) -> None:
    """Raise if a parameter without a default is not an argument of the function."""
    has_setup = kind.setup_context is not torch.autograd.Function.setup_context
    names = list(inspect.signature(kind.forward).parameters)[0 if has_setup else 1 :]
    if method == "backward":
        names += [*list(inspect.signature(kind.backward).parameters)[1:], "output"]
    unknown = [name for name, _ in entry.parameters if name not in {*names, "out"} | entry.optional]
    if unknown:
        msg = f"the formula of {kind.__name__} has parameters {', '.join(unknown)}; its {method} has {', '.join(names)}"
        raise FormulaError(msg)


def find(name: str) -> Formula | None:
    """Return the formula registered under exactly this name, ``library.name[.overload]``."""
    return _FORMULAS.get(name)


def registered() -> list[str]:
    """Return all names that have a formula, sorted."""
    return sorted(_FORMULAS)


def overloads(name: str) -> list[OpOverload]:
    """Return the overloads of ``library.name[.overload]`` in the installed torch; empty if it has none."""
    library, _, rest = name.partition(".")
    packet_name, _, overload = rest.partition(".")
    packet = getattr(getattr(torch.ops, library), packet_name, None)
    if not isinstance(packet, torch._ops.OpOverloadPacket):
        return []
    return [getattr(packet, o) for o in packet.overloads() if overload in {"", o}]


def _dotted(operator: str | OpOverload | OpOverloadPacket) -> str:
    if isinstance(operator, torch._ops.OpOverload):
        return str(operator)
    return str(operator).replace("::", ".")


def _parameters(function: Callable[..., Cost | None]) -> tuple[tuple[str, bool], ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple((p.name, _is_shape(p.annotation)) for p in parameters)


def _optional(function: Callable[..., Cost | None]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(p.name for p in parameters if p.default is not p.empty)


def _is_shape(annotation: object) -> bool:
    """Return whether an annotation is ``Shape`` or ``Shape | None``, as text or evaluated."""
    text = str(annotation)
    return "Shape" in text or str(Shape) in text


def _check(name: str, entry: Formula) -> None:
    """Raise if a parameter without a default is not an argument of any overload."""
    operators = overloads(name)
    arguments = {argument.name for overload in operators for argument in overload._schema.arguments} | {"out"}
    unknown = [name for name, _ in entry.parameters if name not in arguments | entry.optional]
    if operators and unknown:
        msg = (
            f"the formula of {name} has parameters {', '.join(unknown)}; its schema has {', '.join(sorted(arguments))}"
        )
        raise FormulaError(msg)


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, TensorSpec) else value


def _describe(record: OpRecord) -> str:
    return ", ".join(f"{name}={_shape(value)}" for name, value in record.arguments if value is not None)
