"""The process groups that take part in a run: their names, their mesh axes and their ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profiler.values.communication import ProcessGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.values.records import OpRecord

#: How ``torch.distributed.device_mesh`` describes the groups of a mesh's dimension, and how it does the default group.
_MESH, _DEFAULT = "mesh_", {"default_pg", "mesh_default", "undefined", ""}
_WORLD = "world"
#: The arguments of collectives that name a group.
_GROUP_ARGUMENTS = ("process_group", "group_name")


def group_name(argument: Any) -> str | None:
    """Return the name of a process group that was passed to an operator; None for any other object."""
    group = _unboxed(argument)
    return None if group is None else str(group.group_name)


def resolve_groups(records: Iterable[OpRecord], tensors: Iterable[torch.Tensor]) -> tuple[ProcessGroup, ...]:
    """Return the groups of the collectives among *records*, in the order of their first use.

    A dimension of a mesh that spans the world has the default group, which has no name of its own: it is looked up
    in the meshes of the distributed ones among *tensors*. A group that was destroyed is left out.
    """
    names = dict.fromkeys(
        value
        for record in records
        for name, value in record.arguments
        if name in _GROUP_ARGUMENTS and isinstance(value, str)
    )
    axes = _mesh_axes(tensors)
    return tuple(group for group in (_resolve(name, axes) for name in names) if group is not None)


def _resolve(name: str, axes: dict[str, str]) -> ProcessGroup | None:
    c10d: Any = torch._C._distributed_c10d
    try:
        group = c10d._resolve_process_group(name)
        ranks = tuple(torch.distributed.get_process_group_ranks(group))
    except (RuntimeError, KeyError):
        return None
    description = str(group.group_desc or "")
    own = description.removeprefix(_MESH) if description not in _DEFAULT else _WORLD
    return ProcessGroup(name, axes.get(name, own), ranks)


def _mesh_axes(tensors: Iterable[torch.Tensor]) -> dict[str, str]:
    """Return the dimensions of the meshes of distributed tensors, by the name of their group, if that still exists."""
    meshes = {id(mesh): mesh for mesh in (getattr(tensor, "device_mesh", None) for tensor in tensors) if mesh}
    named = [(_group_of(mesh, axis), axis) for mesh in meshes.values() for axis in mesh.mesh_dim_names or ()]
    return {name: axis for name, axis in named if name is not None}


def _group_of(mesh: Any, axis: str) -> str | None:
    """Return the name of the group along a dimension of a mesh; None if it was destroyed.

    Torch may take a mesh for an equal one of an earlier process group, which is in its caches.
    """
    try:
        return str(mesh.get_group(axis).group_name)
    except (RuntimeError, KeyError, ValueError):
        return None


def _unboxed(argument: Any) -> Any:
    """Return the process group itself, which operators of ``c10d`` receive as a script object."""
    if not torch.distributed.is_available():
        return None
    kind = torch.distributed.ProcessGroup
    if isinstance(argument, kind):
        return argument
    return kind.unbox(argument) if _type_name(argument) == "ProcessGroup" else None


def _type_name(argument: Any) -> str:
    """Return the name of a script object's type; empty for any other object."""
    kind: Any = argument._type() if isinstance(argument, torch.ScriptObject) else None
    return "" if kind is None else str(kind.name())
