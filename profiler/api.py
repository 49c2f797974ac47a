"""``profile()``, ``count()`` and ``load()``: the library as its users meet it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError, ModelError, ProfilerError, one_line
from profiler.peers import Given
from profiler.reconcile import against, choose, observe
from profiler.tally import Profile, tally
from profiler.trace import Session
from profiler.trace.untouched import as_it_was

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from profiler.claims import Finding


class profile:  # noqa: N801 - a context manager, named as contextlib's are
    """Count what runs in a ``with`` block, for the modules of *model*.

    Any code may run inside: several calls, a ``generate()`` loop, a training step. The numbers can be read inside the
    block, of what ran so far, and after it. Entering again goes on adding. Nothing is printed, and the model stays as
    it is: only hooks are put on its modules, and they are gone when the block ends, however it ends.

    The attributes are those of :class:`profiler.Profile`.

    Example:
        >>> import torch, profiler
        >>> model = torch.nn.Conv2d(3, 8, 3)
        >>> with profiler.profile(model) as p:
        ...     _ = model(torch.zeros(1, 3, 10, 10))
        >>> p.totals.macs
        13824
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        """Prepare to count; without a model all work is in one row."""
        self._session = Session(model)
        self._depth = 0
        self._result: Profile | None = None
        self._findings: tuple[Finding, ...] = ()

    def __enter__(self) -> Self:
        """Begin to count; a block inside its own block is part of it."""
        if self._depth == 0:
            self._session.start()
        self._depth += 1
        self._result = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take everything off the model."""
        self._depth -= 1
        if self._depth == 0:
            self._session.stop()

    @property
    def result(self) -> Profile:
        """The profile so far; frozen, and detached from the model."""
        if self._depth:
            return self._tally()
        if self._result is None:
            self._result = self._tally()
        return self._result

    def against(self, *names: str) -> tuple[Finding, ...]:
        """Compare a forward pass with what other counters say of it; "all" stands for those that are installed.

        The model runs once more, on what it was first called with, in eval mode and without gradients: here, to be
        counted, and in a process of its own for each peer. What is found is given back, and `result` carries it.

        Raises:
            UnknownNameError: There is no such peer.
            InputError: The profile has no model, or the model was not called.
            ModelError: The model cannot be handed to another process.
        """
        choose(names)
        given = self._first_call()
        with _in_eval_mode(given.model):
            found = against(names or ("all",), given, *observe(given.model, given.args, given.kwargs, count))
        anew = {finding.claim.source for finding in found}
        self._findings = (*(f for f in self._findings if f.claim.source not in anew), *found)
        self._result = None
        return found

    def _first_call(self) -> Given:
        """Give the model, and what it was first called with, without its history of gradients."""
        model, call = self._session.model, self._session.first_call
        if model is None or call is None:
            missing = "has no model; write profiler.profile(model)" if model is None else "saw no call of its model"
            msg = f"peers count a forward pass, and this profile {missing}"
            raise InputError(msg)
        return Given(model, *tree_map_only(torch.Tensor, torch.Tensor.detach, call))

    def _tally(self) -> Profile:
        return replace(tally(self._session.trace()), findings=self._findings)

    def __getattr__(self, name: str) -> Any:
        """Read the profile's own attributes, as in ``p.totals`` or ``p.save(path)``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.result, name)

    def __add__(self, other: profile | Profile) -> Profile:
        """Sum with another run of the same model."""
        return self.result + (other.result if isinstance(other, profile) else other)

    def __str__(self) -> str:
        """Write the text report."""
        return str(self.result)


def count(model: nn.Module, *args: Any, **kwargs: Any) -> Profile:
    """Run one forward pass of *model*, without gradients, and give its profile.

    The model runs in the mode that it is in (``train()`` or ``eval()``). Its buffers, such as BatchNorm's statistics,
    and the random state are afterwards what they were.

    Raises:
        ModelError: The model raised; the error is its cause.
    """
    recording = profile(model)
    with counting(model, recording), torch.no_grad():
        model(*args, **kwargs)
    return recording.result


@contextmanager
def counting(model: nn.Module, recording: profile) -> Iterator[None]:
    """Record what runs inside; put buffers and random state back afterwards.

    Raises:
        ModelError: What runs inside raised; the error is its cause.
    """
    with as_it_was(model):
        try:
            with recording:
                yield
        except ProfilerError:
            raise
        except Exception as error:
            msg = f"{type(model).__name__} raised {one_line(error)}"
            raise ModelError(msg) from error


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Set eval mode, as most peers do; put back what each module had."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
