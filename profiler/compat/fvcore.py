"""A replacement for ``fvcore.nn.FlopCountAnalysis``, whose "flops" are MACs of contractions; norms count 0."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from profiler.compat.unsupported import reject_unsupported
from profiler.errors import UnknownNameError
from profiler.run.forward import count
from profiler.values.findings import is_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    from profiler.tally import Profile
    from profiler.tally.entry import Entry


class FlopCountAnalysis:
    """Counts the MACs of one forward pass by module and operator.

    The model runs on the first access of a result, in its present mode and without gradients; its buffers and the
    random state are restored.

    Args:
        model: The model.
        inputs: Its positional arguments: a tuple, or a single tensor.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(20, 30, device="meta")
        >>> FlopCountAnalysis(model, torch.empty(4, 20, device="meta")).total()
        2400
    """

    def __init__(self, model: nn.Module, inputs: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """Store the model and its inputs; nothing runs yet."""
        self._model = model
        self._inputs = inputs if isinstance(inputs, tuple) else (inputs,)

    @cached_property
    def _profile(self) -> Profile:
        return count(self._model, *self._inputs)

    @cached_property
    def _canonical_names(self) -> dict[str, str]:
        """Every path of every module → the first path of the same module."""
        first: dict[int, str] = {}
        return {
            path: first.setdefault(id(module), path)
            for path, module in self._model.named_modules(remove_duplicate=False)
        }

    def total(self, module_name: str = "") -> int:
        """Return the MACs of a module and its descendants."""
        return sum(self.by_operator(module_name).values())

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Return the MACs of a module and its descendants by operator."""
        macs: Counter[str] = Counter()
        for entry in self._entries_under(module_name):
            if entry.macs:
                macs[entry.record.packet.partition(".")[2]] += entry.record.calls * entry.macs
        return macs

    def by_module(self) -> Counter[str]:
        """Return the MACs of every module, each with its descendants."""
        return Counter({path: self._profile.nodes[path].total.macs for path in self._paths()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Return the MACs of every module by operator."""
        return {path: self.by_operator(path) for path in self._paths()}

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Return how often each operator that no formula covers was called."""
        calls: Counter[str] = Counter()
        for entry in self._entries_under(module_name):
            if entry.kind == "uncounted":
                calls[entry.record.packet.replace(".", "::", 1)] += entry.record.calls
        return calls

    def uncalled_modules(self) -> set[str]:
        """Return the paths of the modules that have a forward and were not called."""
        calls = {module.path: module.calls for module in self._profile.modules}
        return {path for path in self._paths() if not calls[path] and _has_forward(self._model.get_submodule(path))}

    def canonical_module_name(self, name: str) -> str:
        """Return the first path of a module that is registered under several.

        Raises:
            UnknownNameError: There is no such module.
        """
        self._check_name(name)
        return self._canonical_names[name]

    def set_op_handle(self, *args: Any, **kwargs: Any) -> Self:
        """Raise if called with handlers, which are not supported.

        Raises:
            InputError: There is a handler.
        """
        reject_unsupported("set_op_handle", (*args, *kwargs))
        return self

    def clear_op_handles(self) -> Self:
        """Return the analysis unchanged: it has no handlers."""
        return self

    def copy(self, new_model: nn.Module | None = None, new_inputs: Any = None) -> Self:
        """Return an analysis of another model or other inputs."""
        return type(self)(new_model or self._model, self._inputs if new_inputs is None else new_inputs)

    def unsupported_ops_warnings(self, enabled: bool) -> Self:  # noqa: ARG002 - the original's argument
        """Return the analysis unchanged: it never warns."""
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:  # noqa: ARG002 - the original's argument
        """Return the analysis unchanged: it never warns."""
        return self

    def tracer_warnings(self, mode: str) -> Self:  # noqa: ARG002 - the original's argument
        """Return the analysis unchanged: it uses no tracer."""
        return self

    def ancestor_mode(self, mode: str) -> Self:  # noqa: ARG002 - the original's argument
        """Return the analysis unchanged: work always belongs to the module whose forward runs."""
        return self

    def _entries_under(self, name: str) -> Iterator[Entry]:
        """Yield what ran in the module *name* and its descendants."""
        self._check_name(name)
        return (entry for entry in self._profile.entries if is_under(entry.record.module, name))

    def _paths(self) -> list[str]:
        return list(dict.fromkeys(self._canonical_names.values()))

    def _check_name(self, name: str) -> None:
        if name not in self._canonical_names:
            kind = "module"
            raise UnknownNameError(kind, name, self._canonical_names)


def _has_forward(module: nn.Module) -> bool:
    return "_forward_unimplemented" not in getattr(module.forward, "__qualname__", "")
