"""The modules of a model by path, those included that are created while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from torch import nn

from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

#: Modules that only hold others. A module created in a forward is often appended to one.
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


class ModulePaths:
    """The paths of the modules of one model, and the first path that holds each parameter."""

    def __init__(self, model: nn.Module | None) -> None:
        """Prepare to list the modules of *model*."""
        self._model = model
        #: The paths of the modules that are listed, or have been adopted.
        self.known: dict[nn.Module, tuple[str, ...]] = {}
        #: Copies that ``torch.nn.DataParallel`` makes of the modules for one forward pass.
        self._replicas: WeakKeyDictionary[nn.Module, tuple[str, ...]] = WeakKeyDictionary()
        #: The first path that holds each parameter, by its ``id``. The model keeps the parameters alive.
        self._owners: dict[int, str] = {}

    @property
    def modules(self) -> Iterable[nn.Module]:
        """The modules of the model, each once."""
        return self.known.keys()

    def list_once(self, places: Iterable[tuple[str, nn.Module]]) -> None:
        """List the modules that the model has now, with each of their *places*; later calls have no effect."""
        if not self.known:
            for path, module in places:
                self.known[module] = (*self.known.get(module, ()), path)

    def of(self, module: nn.Module) -> tuple[str, ...]:
        """Return the paths of a module; none if it is not one of the model's."""
        return self.known.get(module, ())

    def adopt(self, module: nn.Module, callers: Iterable[object]) -> tuple[str, ...]:
        """Return the paths of a module that is not in the list; none if it is not one of the model's.

        A module that the model has created since it began to run is looked for among the children of its *callers*, the
        running modules. From then on it is in the list.
        """
        if getattr(module, "_is_replica", False):
            return self._of_replica(module)
        for caller in callers:
            path = _path_in(caller, module)
            if isinstance(caller, nn.Module) and path is not None:
                self._add(module, [f"{own}.{path}" if own else path for own in self.of(caller)])
                break
        return self.of(module)

    def owner(self, parameter: torch.Tensor) -> str:
        """Return the first path that holds a parameter. It may have been registered since the last look."""
        if id(parameter) not in self._owners and self._model is not None:
            for path, module in walk(self._model):
                for own in module._parameters.values():
                    self._owners.setdefault(id(own), path)
        return self._owners.setdefault(id(parameter), OUTSIDE)

    def _add(self, module: nn.Module, paths: Iterable[str]) -> None:
        for path in paths:
            for own, child in walk(module, path):
                self.known[child] = (*self.known.get(child, ()), own)

    def _of_replica(self, replica: nn.Module) -> tuple[str, ...]:
        """Return the paths of the module of which *replica* is a copy: the first of the same types and children."""
        if replica not in self._replicas:
            kind = _structure(replica)
            original = next((module for module in self.known if _structure(module) == kind), None)
            for (path, child), (_, copy) in zip(walk(original), walk(replica), strict=True) if original else ():
                self._replicas[copy] = self.known.get(child, (path,))
        return self._replicas.get(replica, ())


def path_under_caller(paths: tuple[str, ...], caller: str) -> str:
    """Return the path of a module that shares the longest prefix with its caller's path."""
    parts = caller.split(".") if caller else []
    while parts:
        prefix = ".".join(parts) + "."
        for path in paths:
            if path.startswith(prefix):
                return path
        parts.pop()
    return paths[0]


def walk(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with each of its paths, parents first.

    A module that holds itself, or one that holds it, is not entered again. The tree may be deeper than Python's calls
    can nest.
    """
    places = _tree(model, path)
    yield from places if places is not None else _graph(model, path)


def _tree(model: nn.Module, path: str) -> list[tuple[str, nn.Module]] | None:
    """List every module with its path, parents first; return None if one has several."""
    places: list[tuple[str, nn.Module]] = []
    seen: set[nn.Module] = set()
    pending = [(path, model)]
    while pending:
        place = pending.pop()
        own, module = place
        if module in seen:
            return None
        seen.add(module)
        places.append(place)
        children = module._modules
        if children:
            prefix = f"{own}." if own else ""
            pending += [(prefix + name, child) for name, child in reversed(children.items()) if child is not None]
    return places


def _graph(model: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module with each of its paths, parents first."""
    yield path, model
    holders, pending = {model}, [(path, model, _children(model))]
    while pending:
        path, holder, children = pending[-1]
        child = next(children, None)
        if child is None:
            pending.pop()
            holders.discard(holder)
        elif child[1] not in holders:
            own = f"{path}.{child[0]}" if path else child[0]
            yield own, child[1]
            holders.add(child[1])
            pending.append((own, child[1], _children(child[1])))


def parameters_of(model: nn.Module) -> list[nn.Parameter]:
    """List every parameter once, as ``model.parameters()`` does, also of a tree that is too deep for it."""
    parameters = (p for module in modules_of(model) for p in module._parameters.values() if p is not None)
    return list({id(p): p for p in parameters}.values())


def tensors_of(model: nn.Module) -> list[torch.Tensor]:
    """List the parameters and buffers of every module."""
    buffers = (b for module in modules_of(model) for b in module._buffers.values() if b is not None)
    return [*parameters_of(model), *buffers]


def modules_of(model: nn.Module) -> list[nn.Module]:
    """List every module once, parents first. Faster than ``model.modules()``, which also builds their names."""
    modules: dict[nn.Module, None] = {}
    pending = [model]
    while pending:
        module = pending.pop()
        if module not in modules:
            modules[module] = None
            if module._modules:
                pending += [child for child in reversed(module._modules.values()) if child is not None]
    return list(modules)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, child) for name, child in list(module._modules.items()) if child is not None)


def _path_in(caller: object, module: nn.Module) -> str | None:
    """Return the path under *caller* of its child, or of a child of a container in it."""
    if not isinstance(caller, nn.Module):
        return None
    for name, child in caller._modules.items():
        if child is module:
            return name
        if isinstance(child, _CONTAINERS):
            path = _path_in(child, module)
            if path is not None:
                return f"{name}.{path}"
    return None


def _structure(module: nn.Module) -> tuple[type, tuple[tuple[str, type], ...]]:
    """Return what a replica has in common with its original, and with few other modules."""
    return type(module), tuple((path, type(child)) for path, child in walk(module))
