"""``fvcore.nn.FlopCountAnalysis``: a "flop" of it is one multiply-add, and norms are none."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from profiler.compat.unsupported import reject_unsupported
from profiler.errors import UnknownNameError
from profiler.run.forward import count
from profiler.values.findings import is_under

if TYPE_CHECKING:
    import torch
    from torch import nn

    from profiler.tally import Profile


class FlopCountAnalysis:
    """The multiply-adds of a forward pass, by module and operator; counted when it is first asked."""

    def __init__(self, model: nn.Module, inputs: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """Keep the model, and what it is to be called with."""
        self._model = model
        self._inputs = inputs if isinstance(inputs, tuple) else (inputs,)

    @cached_property
    def _profile(self) -> Profile:
        return count(self._model, *self._inputs)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Every path of every module, with the first path of the same module."""
        first: dict[int, str] = {}
        return {
            path: first.setdefault(id(module), path)
            for path, module in self._model.named_modules(remove_duplicate=False)
        }

    def total(self, module_name: str = "") -> int:
        """Give the MACs of a module with all below it."""
        return sum(self.by_operator(module_name).values())

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Give the MACs of a module by operator."""
        found: Counter[str] = Counter()
        for entry in self._profile.entries:
            if entry.macs and is_under(entry.record.module, self._known(module_name)):
                found[entry.record.packet.partition(".")[2]] += entry.record.calls * entry.macs
        return found

    def by_module(self) -> Counter[str]:
        """Give the MACs of every module with all below it."""
        return Counter({path: self._profile.nodes[path].total.macs for path in self._firsts()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Give the MACs of every module by operator."""
        return {path: self.by_operator(path) for path in self._firsts()}

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Give the calls of operators that no formula counts."""
        found: Counter[str] = Counter()
        for entry in self._profile.entries:
            if entry.kind == "uncounted" and is_under(entry.record.module, self._known(module_name)):
                found[entry.record.packet.replace(".", "::", 1)] += entry.record.calls
        return found

    def uncalled_modules(self) -> set[str]:
        """Name the modules that have a forward and were not called."""
        calls = {module.path: module.calls for module in self._profile.modules}
        return {path for path in self._firsts() if not calls[path] and _has_forward(self._model.get_submodule(path))}

    def canonical_module_name(self, name: str) -> str:
        """Give the first of a module's names.

        Raises:
            UnknownNameError: There is no such module.
        """
        return self._names[self._known(name)]

    def set_op_handle(self, *args: Any, **kwargs: Any) -> Self:
        """Refuse handlers: operators have formulas here.

        Raises:
            InputError: A handler is given.
        """
        reject_unsupported("set_op_handle", (*args, *kwargs))
        return self

    def clear_op_handles(self) -> Self:
        """Do nothing: there are no handlers."""
        return self

    def copy(self, new_model: nn.Module | None = None, new_inputs: Any = None) -> Self:
        """Ask the same of another model or input."""
        return type(self)(new_model or self._model, self._inputs if new_inputs is None else new_inputs)

    def unsupported_ops_warnings(self, enabled: bool) -> Self:  # noqa: ARG002 - the original's argument
        """Do nothing: nothing is printed."""
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:  # noqa: ARG002
        """Do nothing: nothing is printed."""
        return self

    def tracer_warnings(self, mode: str) -> Self:  # noqa: ARG002
        """Do nothing: nothing is traced."""
        return self

    def ancestor_mode(self, mode: str) -> Self:  # noqa: ARG002
        """Do nothing: work belongs to the module that is running."""
        return self

    def _firsts(self) -> list[str]:
        return list(dict.fromkeys(self._names.values()))

    def _known(self, name: str) -> str:
        if name not in self._names:
            kind = "module"
            raise UnknownNameError(kind, name, self._names)
        return name


def _has_forward(module: nn.Module) -> bool:
    return "_forward_unimplemented" not in getattr(module.forward, "__qualname__", "")
