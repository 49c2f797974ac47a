"""Observe runs of programs that were compiled before: their kernels are no operators.

A captured CUDA graph is replayed as a whole, and a library that AOTInductor made is called as one. ``torch.compile`` is
not among them: a profile runs its models uncompiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profiler.util.observed_methods import ObservedMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def _methods() -> Iterator[tuple[type, str]]:
    """Yield the methods that this build of torch has."""
    yield torch.cuda.CUDAGraph, "replay"
    compiled = getattr(torch._C, "_aoti", None)
    for runner in ("AOTIModelPackageLoader", "AOTIModelContainerRunnerCpu", "AOTIModelContainerRunnerCuda"):
        for name in ("run", "boxed_run"):
            if hasattr(getattr(compiled, runner, None), name):
                yield getattr(compiled, runner), name


_RUNS = ObservedMethods(_methods())


def observe_compiled_runs(on_run: Callable[[], None]) -> AbstractContextManager[None]:
    """Call *on_run* before each run of a compiled program inside the block, on any thread."""
    return _RUNS.observe(lambda _program: on_run())
