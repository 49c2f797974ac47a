"""Collect facts about a model's modules: types, attributes, parameters, and the shapes of their calls.

A counter that hooks modules counts from these. To explain its number we need the same facts.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.nn.modules.module import register_module_forward_hook

from profiler.trace.argument_specs import SpecCache, detach, dtype_name
from profiler.trace.call_facts import FunctionCall, ModuleCall
from profiler.trace.composite_calls import CompositeCall, record_composite_calls
from profiler.trace.distributed_calls import record_distributed_calls
from profiler.trace.function_calls import record_function_calls
from profiler.trace.inventory import packed_weights
from profiler.trace.learned_masks import has_float_mask, learned_masks
from profiler.trace.module_paths import walk
from profiler.trace.module_stack import ModuleStack
from profiler.util.interrupts import interruptible, uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import torch
    from torch import nn

    from profiler.values.records import Shape

_SCALARS = (bool, int, float, str, type(None))


class ParameterInfo(NamedTuple):
    """A parameter or buffer of a module itself; *key* is the same under all names of one tensor."""

    name: str
    shape: Shape
    dtype: str
    trainable: bool
    key: int


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """Facts about one module, which may be registered under several paths."""

    #: Its first path.
    path: str
    #: All of its paths.
    paths: tuple[str, ...]
    #: The qualified names of its class and base classes, in method resolution order.
    types: tuple[str, ...]
    #: Its attributes that are plain values or tuples or lists of them.
    settings: tuple[tuple[str, Any], ...]
    params: tuple[ParameterInfo, ...]
    buffers: tuple[ParameterInfo, ...]
    #: Its distinct calls, in the order of their first occurrence, and how often each was made.
    calls: tuple[tuple[ModuleCall, int], ...]
    #: The public functions of torch that its own code calls by name, and how often.
    function_calls: tuple[tuple[FunctionCall, int], ...] = ()
    #: The distinct operators that its own code calls; empty if the model cannot run below autograd.
    composite_calls: tuple[CompositeCall, ...] = ()
    #: The distinct operators that its own code calls on distributed tensors, with the shapes of the whole tensors.
    distributed_calls: tuple[CompositeCall, ...] = ()
    #: The weights and biases that a quantized layer keeps packed; ``parameters()`` does not list them.
    packed: tuple[ParameterInfo, ...] = ()
    #: Whether its own code passes attention a mask that requires a gradient.
    has_learned_mask: bool = False

    @property
    def type(self) -> str:
        """The qualified name of its class, such as ``torch.nn.modules.linear.Linear``."""
        return self.types[0]

    def setting(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute; *default* if it has none of this name or it is not a plain value."""
        return dict(self.settings).get(name, default)

    def is_a(self, type_name: str) -> bool:
        """Return whether its class or a base class has this name: the qualified name, or the last part of it."""
        return any(t == type_name or t.rpartition(".")[2] == type_name for t in self.types)


def collect_module_facts(
    model: nn.Module, run: Callable[[], object], again: Callable[[], object] | None = None
) -> tuple[ModuleFacts, ...]:
    """Collect facts about every module of *model*, parents first, from running it two or three times.

    Args:
        model: The model.
        run: Runs one forward pass, in which the calls of modules and functions are recorded.
        again: Runs the same pass for the composite calls and learned masks; *run*, if not given.
    """
    paths_of: dict[nn.Module, list[str]] = {}
    for path, module in walk(model):
        paths_of.setdefault(module, []).append(path)
    module_calls, function_calls = _record_calls(model, paths_of.keys(), run)
    composite_calls = _composite_calls(model, again or run)
    distributed = record_distributed_calls(model, again or run)
    has_mask = has_float_mask(call.record for call in composite_calls)
    learned = learned_masks(model, again or run) if has_mask else frozenset()
    return tuple(
        replace(
            _facts(module, paths, module_calls[module], function_calls, composite_calls),
            distributed_calls=tuple(call for call in distributed if call.record.module in paths),
            has_learned_mask=not learned.isdisjoint(paths),
        )
        for module, paths in paths_of.items()
    )


def _record_calls(
    model: nn.Module, modules: Iterable[nn.Module], run: Callable[[], object]
) -> tuple[dict[nn.Module, Counter[ModuleCall]], Counter[FunctionCall]]:
    """Record the calls of each module and of torch's public functions during *run*, on this thread."""
    calls: dict[nn.Module, Counter[ModuleCall]] = {module: Counter() for module in modules}
    specs, thread = SpecCache(), get_ident()

    def on_forward(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if module in calls and get_ident() == thread:
            calls[module][ModuleCall(detach(specs.specs(args)), detach(specs.spec(_as_list(output))))] += 1

    running = ModuleStack(model)
    with uninterrupted(), ExitStack() as stack:
        stack.callback(running.detach)
        running.attach()
        stack.callback(register_module_forward_hook(on_forward).remove)
        with record_function_calls(lambda: running.current) as function_calls, interruptible():
            run()
    return calls, function_calls


def _composite_calls(model: nn.Module, run: Callable[[], object]) -> tuple[CompositeCall, ...]:
    try:
        return record_composite_calls(model, run)
    except Exception:  # noqa: BLE001 - such as a forward that needs autograd: what rests on this stays unexplained
        return ()


def _facts(
    module: nn.Module,
    paths: list[str],
    calls: Counter[ModuleCall],
    function_calls: Counter[FunctionCall],
    composite_calls: tuple[CompositeCall, ...],
) -> ModuleFacts:
    return ModuleFacts(
        path=paths[0],
        paths=tuple(paths),
        types=tuple(f"{c.__module__}.{c.__qualname__}" for c in type(module).__mro__ if c is not object),
        settings=tuple((name, value) for name, value in vars(module).items() if _is_plain(value)),
        params=tuple(_info(name, p) for name, p in module._parameters.items() if p is not None),
        buffers=tuple(_info(name, b) for name, b in module._buffers.items() if b is not None),
        calls=tuple(calls.items()),
        function_calls=tuple((call, times) for call, times in function_calls.items() if call.module in paths),
        composite_calls=tuple(call for call in composite_calls if call.record.module in paths),
        packed=tuple(_packed_info(module)),
    )


def _info(name: str, tensor: torch.Tensor) -> ParameterInfo:
    shape = tuple(int(n) for n in tensor.shape)
    return ParameterInfo(name, shape, dtype_name(tensor.dtype), tensor.requires_grad, id(tensor))


def _packed_info(module: nn.Module) -> Iterator[ParameterInfo]:
    """Describe packed weights. Each unpacking makes new tensors, so their key is that of the module; none trains."""
    for number, tensor in enumerate(packed_weights(module)):
        yield _info(f"packed.{number}", tensor)._replace(trainable=False, key=hash((id(module), number)))


def _is_plain(value: Any) -> bool:
    return isinstance(value, _SCALARS) or (isinstance(value, (tuple, list)) and all(map(_is_plain, value)))


def _as_list(output: Any) -> Any:
    """Return the values of an output that is a mapping, as the model outputs of ``transformers`` are."""
    return list(output.values()) if isinstance(output, dict) else output
