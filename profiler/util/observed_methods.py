"""Methods of classes that report each of their calls, while anybody observes them."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class ObservedMethods:
    """Replaces methods by ones that report their object to every observer first, and restores them after the last.

    Example:
        >>> class Lamp:
        ...     def light(self):
        ...         return "on"
        >>> lamps = ObservedMethods([(Lamp, "light")])
        >>> with lamps.observe(lambda lamp: print("a lamp")):
        ...     Lamp().light()
        a lamp
        'on'
        >>> Lamp().light()
        'on'
    """

    def __init__(self, methods: Iterable[tuple[type, str]]) -> None:
        """Take each class, which may inherit its method, and the name of the method."""
        self._observers: list[Callable[[Any], None]] = []
        self._lock = RLock()
        self._observed = {(owner, name): self._reporting(getattr(owner, name)) for owner, name in methods}
        #: What the classes themselves have of these names; they inherit the others.
        self._own = {key: vars(key[0])[key[1]] for key in self._observed if key[1] in vars(key[0])}

    @contextmanager
    def observe(self, observer: Callable[[Any], None]) -> Iterator[None]:
        """Call *observer* with the object of each call inside the block, on any thread, before the method runs."""
        with self._lock:
            if not self._observers:
                for (owner, name), method in self._observed.items():
                    setattr(owner, name, method)
            self._observers.append(observer)
        try:
            yield
        finally:
            with self._lock:
                self._observers.remove(observer)
                if not self._observers:
                    self._restore()

    def _reporting(self, method: Any) -> Any:
        @functools.wraps(method)
        def call(self_: Any, *args: Any, **kwargs: Any) -> Any:
            for observer in tuple(self._observers):
                observer(self_)
            return method(self_, *args, **kwargs)

        return call

    def _restore(self) -> None:
        """Give the classes their own methods back; one that somebody else has replaced meanwhile stays."""
        for key, method in self._observed.items():
            owner, name = key
            if vars(owner).get(name) is not method:
                continue
            if key in self._own:
                setattr(owner, name, self._own[key])
            else:
                delattr(owner, name)
