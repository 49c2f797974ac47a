"""``profile()``, ``count()`` and ``load()``: the library as its users meet it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError
from profiler.peers import LiveModel
from profiler.reconcile import compare_with_peers, count_with_facts, select_peers
from profiler.run.forward import count
from profiler.tally import Profile, tally
from profiler.trace import Session
from profiler.trace.preserve_state import eval_mode
from profiler.values.renamed import warn_renamed

if TYPE_CHECKING:
    from types import TracebackType

    from profiler.values.findings import Finding


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

    def compare(self, *names: str) -> tuple[Finding, ...]:
        """Compare a forward pass with what other counters say of it; "all" stands for those that are installed.

        The model runs once more, on what it was first called with, in eval mode and without gradients: here, to be
        counted, and in a process of its own for each peer. What is found is given back, and `result` carries it.

        Raises:
            UnknownNameError: There is no such peer.
            InputError: The profile has no model, or the model was not called.
            ModelError: The model cannot be handed to another process.
        """
        select_peers(names)
        given = self._first_call()
        with eval_mode(given.model):
            found = compare_with_peers(
                names or ("all",), given, *count_with_facts(given.model, given.args, given.kwargs, count)
            )
        anew = {finding.claim.source for finding in found}
        self._findings = (*(f for f in self._findings if f.claim.source not in anew), *found)
        self._result = None
        return found

    def against(self, *names: str) -> tuple[Finding, ...]:
        """Call ``compare``; the old name, which warns."""
        warn_renamed("profile.against", "profile.compare")
        return self.compare(*names)

    def _first_call(self) -> LiveModel:
        """Give the model, and what it was first called with, without its history of gradients."""
        model, call = self._session.model, self._session.first_call
        if model is None or call is None:
            missing = "has no model; write profiler.profile(model)" if model is None else "saw no call of its model"
            msg = f"peers count a forward pass, and this profile {missing}"
            raise InputError(msg)
        return LiveModel(model, *tree_map_only(torch.Tensor, torch.Tensor.detach, call))

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
