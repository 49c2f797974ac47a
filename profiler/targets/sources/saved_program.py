"""Saved programs: ``program.pt2`` from ``torch.export.save``, and ``.pt`` or ``.ts`` from ``torch.jit.save``.

An exported program includes its example inputs, and is unflattened so that its modules appear in the profile. A
scripted module includes no inputs, so they must be specified.

A file that could run code when it is loaded is refused, unless the user trusts it.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from profiler.errors import TargetError, one_line
from profiler.targets.optional_imports import without_logs
from profiler.targets.registry import Source, register
from profiler.targets.scripted import check_scripted_module
from profiler.targets.storage_records import check_storages
from profiler.targets.target import Argument, Target, TensorInput
from profiler.util.permissions import permissions
from profiler.util.text_files import is_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.export import ExportedProgram

_EXPORTED, _SCRIPTED = (".pt2",), (".pt", ".ts")


def resolve(name: str) -> Target:
    """Read a program from a file.

    Raises:
        TargetError: There is no such file, or it is not a program of the kind its name says.
    """
    if not is_file(name):
        msg = f"no file {name!r}"
        raise TargetError(msg)
    if name.endswith(_EXPORTED):
        program = _read(name, _load_exported, "an exported program (torch.export.save writes one)")
        return Target(name, partial(_unflatten, program), _inputs(program), prefers="cpu")
    module = _read(name, _load_scripted, "a scripted module (torch.jit.save writes one)")
    return Target(name, lambda: module, prefers="cpu")


def _load_exported(name: str) -> ExportedProgram:
    from profiler.targets.exported import check_exported_program  # noqa: PLC0415 - torch.export's schema takes a second to import

    if not permissions().trust:
        check_exported_program(Path(name))
    return torch.export.load(name)


def _load_scripted(name: str) -> nn.Module:
    if not permissions().trust:
        check_scripted_module(Path(name))
    check_storages(Path(name))
    module: nn.Module = torch.jit.load(name, map_location="cpu")
    return module


def _read(name: str, load: Callable[[str], Any], expected: str) -> Any:
    try:
        with warnings.catch_warnings(), without_logs():  # torch deprecates its own formats, and logs tracebacks
            warnings.simplefilter("ignore")
            return load(name)
    except TargetError:
        raise
    except Exception as error:
        msg = f"{name} is not {expected}: {one_line(error)}"
        raise TargetError(msg) from error


def _unflatten(program: ExportedProgram) -> nn.Module:
    with warnings.catch_warnings():  # torch 2.11 warns of its own use of pytrees
        warnings.simplefilter("ignore", FutureWarning)
        return torch.export.unflatten(program)


def _inputs(program: ExportedProgram) -> tuple[Argument, ...]:
    """Return the example inputs that the program was exported with; tensors by shape and dtype."""
    args, kwargs = program.example_inputs or ((), {})
    positional = [Argument(tree_map(_describe, value)) for value in args]
    return (*positional, *(Argument(tree_map(_describe, value), name) for name, value in kwargs.items()))


def _describe(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return TensorInput(tuple(value.shape), str(value.dtype).removeprefix("torch."))


register(Source(resolve, claims=lambda name: name.endswith(_EXPORTED + _SCRIPTED), is_code=lambda _: True))
