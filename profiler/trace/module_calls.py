"""Follow the calls of modules on every thread.

Torch has global forward hooks for that. But if there are any, torch takes a path through every call of a module that is
several times as long. So ``nn.Module._call_impl`` is replaced as long as anybody follows, and global hooks are used
only from the moment on at which a module with hooks is called, or other global hooks are there: the work of a forward
pre-hook belongs to its module, that of a forward hook to the module's caller, and only a hook can come between.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn
from torch.nn.modules import module as module_hooks
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from profiler.util.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Follower(NamedTuple):
    """Is told of the calls of modules."""

    #: Returns whether calls that begin or end now are passed over.
    is_excluded: Callable[[], bool]
    #: Receives a module and the arguments of its call; returns whether the end of the call is wanted too.
    enter: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], bool]
    #: Receives a module and its output; None if it raised.
    leave: Callable[[nn.Module, Any], None]


_original: Callable[..., Any] = nn.Module._call_impl
_lock = RLock()
#: Those that are told of calls by the replaced function, outermost first.
_followers: tuple[Follower, ...] = ()
#: The functions that let each of them go over to global hooks.
_switches: dict[int, Callable[[], None]] = {}
_GLOBAL_HOOKS = (
    module_hooks._global_forward_hooks,
    module_hooks._global_forward_pre_hooks,
    module_hooks._global_backward_hooks,
    module_hooks._global_backward_pre_hooks,
)
_forward, _forward_pre, _backward, _backward_pre = _GLOBAL_HOOKS


def _followed_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Call a module, and tell every follower before and after."""
    if (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or _forward
        or _forward_pre
        or _backward
        or _backward_pre
    ):
        _switch_to_hooks()
        return _original(module, *args, **kwargs)
    if len(_followers) != 1:
        return _call_for_all(module, args, kwargs)
    follower = _followers[0]
    if follower.is_excluded() or not follower.enter(module, args, kwargs):
        return _original(module, *args, **kwargs)
    output = None
    try:
        output = _original(module, *args, **kwargs)
        return output
    finally:
        follower.leave(module, output)


def _call_for_all(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a module, and tell every follower before and after, the outermost first and last."""
    leaving = [f for f in _followers if not f.is_excluded() and f.enter(module, args, kwargs)]
    output = None
    try:
        output = _original(module, *args, **kwargs)
        return output
    finally:
        while leaving:
            leaving.pop().leave(module, output)


@contextmanager
def follow(follower: Follower, when_left: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Tell *follower* of every call of a module that begins inside the block.

    Args:
        follower: What to tell.
        when_left: Receives the function that removes the hook which tells of the end of calls, if there is one: calls
            that go on when the block ends have to be told of too.
    """
    removals: list[Callable[[], None]] = []

    def use_hooks() -> None:
        _stop_telling(follower)
        removals.append(_first(register_module_forward_pre_hook(partial(_enter, follower))))
        leave = register_module_forward_hook(partial(_leave, follower), always_call=True)
        removals.append(partial(when_left, _first(leave)))

    try:
        with _lock:
            if any(_GLOBAL_HOOKS):
                use_hooks()
            else:
                _start_telling(follower, use_hooks)
        yield
    finally:
        with _lock:
            _stop_telling(follower)
        for remove in removals:
            remove()


def _start_telling(follower: Follower, use_hooks: Callable[[], None]) -> None:
    global _followers  # noqa: PLW0603 - what the replaced function reads is the process's
    _followers = (*_followers, follower)
    _switches[id(follower)] = use_hooks
    nn.Module._call_impl = _followed_call  # type: ignore[method-assign,assignment]


def _stop_telling(follower: Follower) -> None:
    global _followers  # noqa: PLW0603 - as above
    _switches.pop(id(follower), None)
    _followers = tuple(other for other in _followers if other is not follower)
    if not _followers and vars(nn.Module)["_call_impl"] is _followed_call:
        nn.Module._call_impl = _original  # type: ignore[method-assign]


def _switch_to_hooks() -> None:
    with uninterrupted(), _lock:
        for use_hooks in tuple(_switches.values()):
            use_hooks()


def _first(handle: Any) -> Callable[[], None]:
    """Put a hook that was registered last before all others, and return the function that removes it."""
    handle.hooks_dict_ref().move_to_end(handle.id, last=False)
    remove: Callable[[], None] = handle.remove
    return remove


def _enter(follower: Follower, module: nn.Module, args: Any) -> None:
    if not follower.is_excluded():
        follower.enter(module, args, _keyword_arguments())


def _leave(follower: Follower, module: nn.Module, _: Any, output: Any) -> None:
    if not follower.is_excluded():
        follower.leave(module, output)


def _keyword_arguments() -> dict[str, Any]:
    """Return the keyword arguments of the call for which a global pre-hook runs: torch passes it only positional ones.

    They are a local variable of the frame that called the hook. If a version of torch renames it, none are returned.
    """
    caller = sys._getframe(2).f_locals
    kwargs = caller.get("kwargs", {})
    return kwargs if isinstance(kwargs, dict) else {}
