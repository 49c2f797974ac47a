"""Make compiled functions run their eager program while a block is profiled, also where the compiler is imported there.

Importing the compiler takes seconds, and most blocks never need it: ``torch._dynamo`` is imported by the first call of
``torch.compile``, of ``flex_attention``, of a checkpoint or of a higher-order operator.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack, contextmanager
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_COMPILER = "torch._dynamo"


def force_eager(stack: ExitStack) -> None:
    """Run the eager program of compiled functions until *stack* is closed, without touching their compile cache.

    If nothing has imported the compiler yet, this takes effect when something does.
    """
    if _COMPILER in sys.modules:
        _set_stance(stack)
        return
    inner = stack.enter_context(ExitStack())
    finder = _ImportHook(_COMPILER, lambda: _set_stance(inner))
    sys.meta_path.insert(0, finder)
    inner.callback(finder.remove)


def _set_stance(stack: ExitStack) -> None:
    stack.enter_context(_eager_stance())
    stack.enter_context(_no_hook_warning())


@contextmanager
def _eager_stance() -> Iterator[None]:
    """Set the stance for the block. If the user sets another one in it, that stays.

    Raises:
        InputError: The block begins in a compiled function.
    """
    with _stance_errors():
        stance = torch.compiler.set_stance("force_eager")
    with stance:
        ours = torch._dynamo.eval_frame._stance
        try:
            yield
        finally:
            if torch._dynamo.eval_frame._stance is not ours:
                stance.prev = torch._dynamo.eval_frame._stance


@contextmanager
def _stance_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        msg = (
            "a profile cannot begin in a function that torch.compile compiles; begin it around the call of the function"
        )
        raise InputError(msg) from error


@contextmanager
def _no_hook_warning() -> Iterator[None]:
    """Ignore the warning of a compiled module that global hooks fire for its wrapper too.

    That does no harm: the wrapper has a path of its own. Filters that are added in the block stay.
    """
    filters = warnings.filters
    warnings.filterwarnings("ignore", message=r"Using `torch\.compile\(module\)` when there are global hooks")
    ours = filters[0]
    try:
        yield
    finally:
        for entries in (filters, warnings.filters):
            if ours in entries:
                entries.remove(ours)  # type: ignore[attr-defined]
        with warnings.catch_warnings():
            pass  # on leaving, warnings forgets what the filters decided before


class _ImportHook:
    """A finder on ``sys.meta_path`` that calls a function once a module has been imported."""

    def __init__(self, name: str, on_import: Callable[[], None]) -> None:
        """Call *on_import* after the module called *name* is executed."""
        self._name = name
        self._on_import = on_import

    def remove(self) -> None:
        """Remove the finder from ``sys.meta_path``."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of the awaited module with a loader that calls the function; None for any other module."""
        if name != self._name:
            return None
        self.remove()
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._on_import()

            loader.exec_module = exec_module
        return spec
