"""Follow a model onto other threads: its modules' hooks fire on every thread, but a dispatch mode sees only its own.

When a module of the model is called on a thread that has not entered the mode, the mode is entered there, and left when
that call ends. What else such a thread runs is seen if the block started it, or submitted it to a pool (`hand_on`).
"""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch.utils._python_dispatch import _get_current_dispatch_mode_stack, _push_mode

from profiler.trace.dispatch_stack import take_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from profiler.trace.thread_state import NodeOwners


class ModeOnThreads:
    """Enters a dispatch mode on other threads than the one on which this was made."""

    def __init__(self, mode: TorchDispatchMode | None) -> None:
        """Enter *mode* on other threads; with None, they are not followed."""
        self._mode = mode
        self._home = get_ident()
        self._entered: set[int] = set()
        self._when_left: Callable[[], None] | None = None

    def enter(self) -> bool:
        """Enter the mode unless it is active; return whether what runs on this thread now is recorded.

        A thread that has a profile of its own is left to it.
        """
        if get_ident() == self._home:
            return True
        if self._mode is None:
            return False
        modes = _get_current_dispatch_mode_stack()
        if not any(mode is self._mode for mode in modes):
            if any(isinstance(mode, type(self._mode)) for mode in modes):
                return False
            _push_mode(self._mode)
            self._entered.add(get_ident())
        return True

    def leave(self) -> None:
        """Leave the mode if it was entered on this thread: no call of the model runs there any more."""
        if get_ident() not in self._entered:
            return
        take_out(self._mode)
        self._entered.discard(get_ident())
        if self._when_left is not None and not self._entered:
            self._when_left()
            self._when_left = None

    def when_left(self, callback: Callable[[], None]) -> None:
        """Call *callback* once the mode has been left on every other thread: now, or when the last call there ends."""
        if self._entered:
            self._when_left = callback
        else:
            callback()


class GraphTags:
    """Marks the autograd nodes that were created on other threads: each thread numbers its nodes for itself."""

    def __init__(self) -> None:
        """Start without a mark."""
        self._key = f"profiler {id(self)}"
        #: Whether any node is marked.
        self.is_used = False

    def mark(self, outputs: Iterable[torch.Tensor], inputs: Iterable[torch.Tensor], owners: NodeOwners) -> None:
        """Mark the nodes between the *inputs* and the *outputs* of a call as those of the thread of *owners*."""
        self.is_used = True
        visited = {tensor.grad_fn for tensor in inputs}
        pending: list[Any] = [tensor.grad_fn for tensor in outputs]
        while pending:
            node = pending.pop()
            if node is None or node in visited or hasattr(node, "variable"):
                continue
            visited.add(node)
            if self._key not in node.metadata:  # else it was created on a thread inside of this one
                if not owners.has(node._sequence_nr()):
                    continue
                node.metadata[self._key] = owners
            pending += [following for following, _ in node.next_functions]

    def owners_of(self, node: Any) -> NodeOwners | None:
        """Return the owners of the nodes of the thread that created *node*; None if it is not marked."""
        owners: NodeOwners | None = node.metadata.get(self._key) if self.is_used else None
        return owners
