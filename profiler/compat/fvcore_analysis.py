"""What fvcore's two analyses share: a count of each operator of one forward pass, added up by module and operator."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from torch import nn

from profiler.compat.operator_calls import ancestors, record_named_calls
from profiler.compat.unsupported import ModuleNameError, check_option, reject_unsupported
from profiler.errors import InputError
from profiler.trace.module_paths import walk

if TYPE_CHECKING:
    import torch

    from profiler.compat.operator_calls import NamedCall

_log = logging.getLogger("profiler.compat.fvcore")
#: Classes whose modules are not meant to be called, or run nothing.
_SILENT = (nn.ModuleList, nn.ModuleDict, nn.Module, nn.Identity)


class Analysis(ABC):
    """A count of each operator of one forward pass, added up by module and operator."""

    def __init__(self, model: nn.Module, inputs: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """Store the model and its inputs; nothing runs yet."""
        self._model = model  # the tables of fvcore read it
        self._inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        self._ignored: set[str] = set()
        self._ancestor_mode = "owner"
        self._warn_trace = "no_tracer_warning"
        self._enable_warn_unsupported_ops = self._enable_warn_uncalled_mods = True

    @abstractmethod
    def count_of(self, call: NamedCall) -> int:
        """Return the count of one call."""

    @cached_property
    def _calls(self) -> tuple[NamedCall, ...]:
        calls = record_named_calls(self._model, self._inputs, self._canonical_names, self._warn_trace)
        self.__dict__["_calls"] = calls  # the warnings ask for it
        self._warn()
        return calls

    @cached_property
    def _canonical_names(self) -> dict[str, str]:
        """Every path of every module → the first path of the same module."""
        first: dict[int, str] = {}
        return {path: first.setdefault(id(module), path) for path, module in walk(self._model)}

    def total(self, module_name: str = "") -> int:
        """Return the count of a module and its descendants."""
        return sum(self.by_operator(module_name).values())

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Return the count of a module and its descendants by operator, under fvcore's names such as "conv"."""
        return self.by_module_and_operator()[self.canonical_module_name(module_name)]

    def by_module(self) -> Counter[str]:
        """Return the count of every module, each with its descendants."""
        return Counter({name: sum(counts.values()) for name, counts in self.by_module_and_operator().items()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Return the count of every module by operator, each with its descendants."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in self._names()}
        for call in self._calls:
            amount = 0 if call.operator in self._ignored else call.calls * self.count_of(call)
            for name in self._ancestors(call) if amount else ():
                counts.setdefault(name, Counter())[call.label] += amount  # it may be new: born in this forward
        return counts

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Return how often each operator that no formula covers was called: totals do not have its work."""
        name = self.canonical_module_name(module_name)
        counts: Counter[str] = Counter()
        for call in self._calls:
            if name in self._ancestors(call) and call.operator not in self._ignored:
                for operator, calls in call.uncounted():
                    counts[operator] += calls
        return counts

    def uncalled_modules(self) -> set[str]:
        """Return the modules in which no operator ran; in "owner" mode, those above such a module are called too."""
        active = {name for call in self._calls for name in (*call.running, *self._ancestors(call))}
        return {name for name in self._names() if name not in active}

    def set_op_handle(self, *args: Any, **kwargs: Any) -> Self:
        """Leave out the operators whose handle is None.

        Raises:
            InputError: A handle is a function: cost is counted by formulas here.
            TypeError: The arguments are not pairs of names and handles.

        Example:
            >>> import torch
            >>> from profiler.compat.fvcore import FlopCountAnalysis
            >>> model = nn.Linear(20, 30, device="meta")
            >>> FlopCountAnalysis(model, torch.empty(4, 20, device="meta")).set_op_handle("aten::linear", None).total()
            0
        """
        if len(args) % 2:
            msg = "set_op_handle should be called with pairs of names and handles!"
            raise TypeError(msg)
        handles = dict(zip(args[::2], args[1::2], strict=True)) | kwargs
        reject_unsupported("set_op_handle", [name for name, handle in handles.items() if handle is not None])
        self._ignored |= set(handles)
        return self

    def clear_op_handles(self) -> Self:
        """Raise: the formulas are no handles, so that they cannot be cleared.

        Raises:
            InputError: Always.
        """
        msg = "clear_op_handles is not supported: the formulas are no handles; make a new analysis to count all again"
        raise InputError(msg)

    def canonical_module_name(self, name: str) -> str:
        """Return the first path of a module that is registered under several.

        Raises:
            ModuleNameError: There is no such module. It is a ``KeyError``.
        """
        if name not in self._canonical_names:
            kind = "module"
            raise ModuleNameError(kind, str(name), self._canonical_names)
        return self._canonical_names[name]

    def copy(self, new_model: nn.Module | None = None, new_inputs: Any = None) -> Self:
        """Return an analysis of another model or other inputs, with the same settings."""
        model = self._model if new_model is None else new_model
        other = type(self)(model, self._inputs if new_inputs is None else new_inputs)
        other._ignored = set(self._ignored)
        return (
            other.ancestor_mode(self._ancestor_mode)
            .tracer_warnings(self._warn_trace)
            .unsupported_ops_warnings(self._enable_warn_unsupported_ops)
            .uncalled_modules_warnings(self._enable_warn_uncalled_mods)
        )

    def unsupported_ops_warnings(self, enabled: bool) -> Self:
        """Set whether the analysis logs a warning for each operator that no formula covers."""
        self._enable_warn_unsupported_ops = enabled
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:
        """Set whether the analysis logs a warning with the modules that were not called."""
        self._enable_warn_uncalled_mods = enabled
        return self

    def tracer_warnings(self, mode: str) -> Self:
        """Set which warnings of the model are shown: "all", "no_tracer_warning" or "none". There is no tracer.

        Raises:
            OptionError: There is no such mode. It is a ``ValueError``.
        """
        check_option("tracer_warnings", mode, ("all", "no_tracer_warning", "none"))
        self._warn_trace = mode
        return self

    def ancestor_mode(self, mode: str) -> Self:
        """Set the modules that an operator belongs to, beside the one that runs it.

        Args:
            mode: "owner": those that contain it, by its canonical name. "caller": those whose forward is running.

        Raises:
            OptionError: There is no such mode. It is a ``ValueError``.
        """
        check_option("ancestor_mode", mode, ("owner", "caller"))
        self._ancestor_mode = mode
        return self

    def _names(self) -> list[str]:
        """List the modules, each once, parents first."""
        return list(dict.fromkeys(self._canonical_names.values()))

    def _ancestors(self, call: NamedCall) -> set[str]:
        if self._ancestor_mode == "caller":
            return set(call.running)
        return set(ancestors(call.running[-1]))

    def _warn(self) -> None:
        if self._enable_warn_unsupported_ops:
            for operator, calls in self.unsupported_ops().items():
                _log.warning("Unsupported operator %s encountered %d time(s)", operator, calls)
        modules = dict(self._model.named_modules())
        uncalled = [name for name in self.uncalled_modules() if name in modules and _has_forward(modules[name])]
        if uncalled and self._enable_warn_uncalled_mods:
            _log.warning("The following submodules of the model were never called: %s", ", ".join(sorted(uncalled)))


def _has_forward(module: nn.Module) -> bool:
    own = getattr(type(module), "forward", None)
    return all(own is not silent.forward for silent in _SILENT)
