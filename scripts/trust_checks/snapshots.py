"""What a process and a model hold, in values that can be compared before and after."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks
from torch.utils import _python_dispatch

#: Where somebody who counts may have put functions of his own.
_PATCHED = (torch, torch.Tensor, torch.nn.functional, nn.Module, nn.MultiheadAttention, torch.optim.Optimizer,
            torch.autograd, torch.autograd.Function, torch.utils.checkpoint, torch._C._nn, torch.compiler, os,
            warnings, threading, signal,
            torch.fx.Tracer, torch.jit, torch.random, nn.init, threading.Thread)  # fmt: skip
#: Seconds for a thread that ends.
_ENDS_S = 5
_HOOKS = tuple(
    name for name in vars(nn.Module()) if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called"))
)


def process_state() -> dict[str, object]:
    """Return what a run may leave behind in this process, by torch's, NumPy's and Python's own words."""
    return {
        "hooks of all modules": [len(getattr(module_hooks, name)) for name in _global_hooks()],
        "hooks of optimizers": (len(optimizer_hooks._global_optimizer_pre_hooks),
                                len(optimizer_hooks._global_optimizer_post_hooks)),
        "dispatch modes": len(_python_dispatch._get_current_dispatch_mode_stack()),
        "function modes": torch._C._len_torch_function_stack(),
        "mode flags": [value for name, value in vars(_python_dispatch).items() if name.startswith("_is_in_")],
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"),
                     torch.is_autocast_cache_enabled()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()),
        "determinism": (torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled,
                        torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.benchmark),
        "warnings": [*map(str, warnings.filters)],
        "generators": generators(),
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "environment": dict(os.environ),
        "folder": (str(Path.cwd()), sorted(map(str, Path(tempfile.gettempdir()).iterdir()))),
        "open files": open_files(),
        "child processes": children(),
        "threads": threads(),
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "collector": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks)),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "compiler": _compile_stance(),
        "functions": {str(owner): _functions(owner) for owner in _PATCHED},
    }  # fmt: skip


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Give this process a temporary folder of its own, in which no other writes."""
    with tempfile.TemporaryDirectory() as folder, patch.object(tempfile, "tempdir", folder):
        yield


def model_state(*models: nn.Module) -> dict[str, object]:
    """Return what modules hold: parameters and buffers, their gradients, flags, hooks and other attributes."""
    return {
        f"{i} {name or '(model)'}": _module(module)
        for i, model in enumerate(models)
        for name, module in model.named_modules()
    }


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """Return the names of what is not the same."""
    return [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]


def generators() -> tuple[object, ...]:
    """Return the states of the random generators of Python, NumPy and torch."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one that others share
    return random.getstate(), name, keys.tolist(), rest, torch.get_rng_state().tolist()


def open_files() -> list[str]:
    """Return what the descriptors of this process lead to; nothing where the system does not say."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    links = []
    for path in folder.iterdir():
        try:
            links.append(str(path.readlink()))
        except OSError:  # that of the listing itself
            continue
    return sorted(link for link in links if not link.startswith("/proc/"))


def children() -> list[int]:
    """Return the processes that this one has started, and that are there."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    helpers = {_pid(name) for name in ("resource_tracker", "forkserver")}
    started = (
        listed.read_text().split() if listed.exists() else [child.pid for child in multiprocessing.active_children()]
    )
    return sorted({int(pid) for pid in started} - helpers)


def threads() -> list[str]:
    """Return the threads of this process; one that was told to end, as that of a progress bar, has time to do so."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        thread.join(_ENDS_S)
    return sorted(thread.name for thread in others if thread.is_alive())


def _pid(name: str) -> int | None:
    """Return the process that multiprocessing keeps for all of this one's life."""
    module: Any = sys.modules.get(f"multiprocessing.{name}")
    helper = getattr(module, f"_{name}", None)
    return getattr(helper, "_pid", None) or getattr(helper, "_forkserver_pid", None)


def _global_hooks() -> list[str]:
    return sorted(
        name
        for name in vars(module_hooks)
        if name.startswith("_global_") and hasattr(getattr(module_hooks, name), "__len__")
    )


def _compile_stance() -> object:
    frame: Any = sys.modules.get("torch._dynamo.eval_frame")
    return str(frame._stance) if frame else None


def _functions(owner: object) -> dict[str, int]:
    kinds = (FunctionType, BuiltinFunctionType, classmethod, staticmethod, property)
    return {name: id(value) for name, value in vars(owner).items() if isinstance(value, kinds)}


def _module(module: nn.Module) -> object:
    held = {
        name: value
        for name, value in vars(module).items()
        if name not in {"_parameters", "_buffers", "_modules", *_HOOKS}
    }
    return (
        type(module).__name__,
        {name: _value(value) for name, value in held.items()},
        {name: _value(value) for name, value in module._parameters.items()},
        {name: _value(value) for name, value in module._buffers.items()},
        {name: id(value) for name, value in module._modules.items()},
        {name: list(getattr(module, name, ())) for name in _HOOKS},
    )


def _value(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    if isinstance(value, dict):
        return [(str(key), _value(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [_value(inner) for inner in value]
    return value if isinstance(value, int | float | str | bool | None) else id(value)


def _tensor(value: torch.Tensor) -> object:
    held = "lazy" if nn.parameter.is_lazy(value) or value.device.type == "meta" else _bytes(value)
    grad = None if not value.is_leaf or value.grad is None else (id(value.grad), _bytes(value.grad))
    hooks = len(value._backward_hooks or ())
    return type(value).__name__, id(value), value.dtype, value.requires_grad, held, grad, hooks


def _bytes(value: torch.Tensor) -> object:
    try:
        return value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError, TypeError):  # a subclass, or a sparse or quantized one
        return str(value)
