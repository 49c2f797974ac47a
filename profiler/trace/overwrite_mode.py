"""The dispatch mode that tells of operators that overwrite an argument, before they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.trace.dispatch_kind import DispatchKind, classify, has_own_dispatch, is_mutable
from profiler.util.dispatch_modes import PlainDispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class OverwriteMode(PlainDispatchMode):
    """Runs every operator as it is."""

    supports_higher_order_operators = True

    def __init__(self, before_overwrite: Callable[[Iterable[Any]], None]) -> None:
        """Hand the arguments of each operator that overwrites one of them to *before_overwrite*."""
        super().__init__()
        self._before_overwrite = before_overwrite

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Tell of the operator if it overwrites an argument, and run it."""
        kwargs = kwargs or {}
        if classify(func)[0] is DispatchKind.METADATA or any(map(has_own_dispatch, types)):
            return NotImplemented  # the tensor answers, or runs operators on what it wraps
        if is_mutable(func):
            self._before_overwrite((*args, *kwargs.values()))
        return func(*args, **kwargs)
