"""What is inert about a model's modules: their types, settings and parameters, and the shapes of their calls.

A counter that hooks modules counts by these, so whoever explains it needs them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn.modules.module import register_module_forward_hook

from profiler.trace.argument_specs import SpecCache, dtype_name
from profiler.trace.composite_calls import CompositeCall, record_composite_calls
from profiler.trace.function_calls import FunctionCall, record_function_calls
from profiler.trace.inventory import packed
from profiler.trace.learned_masks import has_float_mask, learned_masks
from profiler.trace.module_stack import ModuleStack, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.values.records import Shape, Value

_SCALARS = (bool, int, float, str, type(None))


class ModuleCall(NamedTuple):
    """A distinct call of a module: what its positional inputs and its output were."""

    inputs: tuple[Value, ...]
    output: Value


class ParameterInfo(NamedTuple):
    """A parameter of a module itself; *key* is the same for all names of one storage."""

    name: str
    shape: Shape
    dtype: str
    trainable: bool
    key: int


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """A module that is registered once or under several names."""

    #: Its first path.
    path: str
    #: Every path.
    names: tuple[str, ...]
    #: The qualified names of its class and of the classes that it inherits, nearest first.
    types: tuple[str, ...]
    #: Its attributes that are plain values, or tuples of them.
    settings: tuple[tuple[str, Any], ...]
    params: tuple[ParameterInfo, ...]
    buffers: tuple[ParameterInfo, ...]
    #: Its distinct calls, in the order of the first, each with how often it was made.
    visits: tuple[tuple[ModuleCall, int], ...]
    #: The public functions of torch that its own code calls by their names, each with how often.
    named: tuple[tuple[FunctionCall, int], ...] = ()
    #: The distinct operators that its own code calls; none where the model cannot run below autograd.
    composite_calls: tuple[CompositeCall, ...] = ()
    #: The weights and biases that a quantized layer keeps packed: they are no parameters to ``parameters()``.
    packed: tuple[ParameterInfo, ...] = ()
    #: Whether its own code passes attention a mask that has a gradient.
    learns_mask: bool = False

    @property
    def type(self) -> str:
        """The qualified name of its class, such as ``torch.nn.modules.linear.Linear``."""
        return self.types[0]

    def setting(self, name: str, default: Any = None) -> Any:
        """Give an attribute by its name."""
        return dict(self.settings).get(name, default)

    def is_a(self, type_name: str) -> bool:
        """Say whether its class is, or inherits from, the one with this qualified name or this last part of one."""
        return any(t == type_name or t.rpartition(".")[2] == type_name for t in self.types)


def collect_module_facts(
    model: nn.Module, run: Callable[[], object], again: Callable[[], object] | None = None
) -> tuple[ModuleFacts, ...]:
    """Describe every module of *model*, parents first, and its calls during *run*.

    What its code calls is seen in a second run: *again*, if given, which is the same pass with nothing else watching.
    """
    names: dict[nn.Module, list[str]] = {}
    for path, module in walk(model):
        names.setdefault(module, []).append(path)
    visits: dict[nn.Module, Counter[ModuleCall]] = {module: Counter() for module in names}
    observer, thread = SpecCache(), get_ident()

    def see(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module in visits and get_ident() == thread:
            visits[module][ModuleCall(_inert(observer.values(args)), _inert(observer.value(_tensors(output))))] += 1

    scopes = ModuleStack(model, lambda *_: None)
    scopes.attach()
    handle = register_module_forward_hook(see)
    try:
        with record_function_calls(lambda: scopes.current) as named:
            run()
    finally:
        handle.remove()
        scopes.detach()
    composite_calls = _wholes(model, again or run)
    learned = learned_masks(model, again or run) if has_float_mask(w.record for w in composite_calls) else frozenset()
    return tuple(
        replace(
            _facts(module, paths, visits[module], named, composite_calls), learns_mask=not learned.isdisjoint(paths)
        )
        for module, paths in names.items()
    )


def _wholes(model: nn.Module, run: Callable[[], object]) -> tuple[CompositeCall, ...]:
    try:
        return record_composite_calls(model, run)
    except Exception:  # noqa: BLE001 - it asks autograd in its forward pass, say: what rests on this stays unexplained
        return ()


def _facts(
    module: nn.Module,
    paths: list[str],
    visits: Counter[ModuleCall],
    named: Counter[FunctionCall],
    composite_calls: tuple[CompositeCall, ...],
) -> ModuleFacts:
    return ModuleFacts(
        path=paths[0],
        names=tuple(paths),
        types=tuple(f"{c.__module__}.{c.__qualname__}" for c in type(module).__mro__ if c is not object),
        settings=tuple((name, value) for name, value in vars(module).items() if _plain(value)),
        params=tuple(_held(name, p) for name, p in module._parameters.items() if p is not None),
        buffers=tuple(_held(name, b) for name, b in module._buffers.items() if b is not None),
        visits=tuple(visits.items()),
        named=tuple((call, times) for call, times in named.items() if call.module in paths),
        composite_calls=tuple(whole for whole in composite_calls if whole.record.module in paths),
        packed=tuple(_packed(module)),
    )


def _held(name: str, tensor: torch.Tensor) -> ParameterInfo:
    shape = tuple(int(n) for n in tensor.shape)
    return ParameterInfo(name, shape, dtype_name(tensor.dtype), tensor.requires_grad, id(tensor))


def _packed(module: nn.Module) -> Iterator[ParameterInfo]:
    """Describe packed weights: each unpacking makes new tensors, and no optimizer sees them."""
    for number, tensor in enumerate(packed(module)):
        yield _held(f"packed.{number}", tensor)._replace(trainable=False, key=hash((id(module), number)))


def _plain(value: Any) -> bool:
    return isinstance(value, _SCALARS) or (isinstance(value, (tuple, list)) and all(map(_plain, value)))


def _tensors(output: Any) -> Any:
    """Take a model output, which is a mapping, for the list of its values."""
    return list(output.values()) if isinstance(output, dict) else output


def _inert(value: Any) -> Any:
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(map(_inert, value))
    return dtype_name(value) if isinstance(value, torch.dtype) else value
