"""``profile``: the context manager that counts whatever runs in a ``with`` block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from profiler.errors import InputError
from profiler.peers import LiveModel, select_peers
from profiler.reconcile import compare_with_peers, count_with_facts
from profiler.run.forward import count
from profiler.run.gather import gather
from profiler.tally import Profile, tally
from profiler.tally.delegate import ProfileProperties
from profiler.tally.live_totals import live_totals
from profiler.tally.presentation import summary
from profiler.trace import Session
from profiler.trace.preserve_state import eval_mode
from profiler.trace.require_module import require_module
from profiler.util.interrupts import guarded, interruptible, uninterrupted
from profiler.values.renamed import warn_renamed

if TYPE_CHECKING:
    from types import TracebackType

    from profiler.tally import Totals
    from profiler.tally.gathered import Gathered
    from profiler.values.findings import Finding


class profile(ProfileProperties):  # noqa: N801 - used as `with profiler.profile(model)`: lower case, as torch.no_grad and contextlib.suppress are
    """Count what runs in a ``with`` block, by module of *model*, operator, dtype and phase.

    Any code may run in the block: several calls, a ``generate()`` loop, a training step. It computes its real results,
    and its effects remain: a training step changes the parameters. (`profiler.count` restores the model's state.)
    The hooks on the model are removed when the block ends, also by an exception. Nothing is printed.

    The attributes and methods are those of `profiler.Profile`, such as ``p.totals``, ``p.operators`` and
    ``p.save(path)``; ``print(p)`` writes the report. Inside the block they describe what ran so far. Entering the block
    again adds to the same counts. ``p.result`` is the profile itself, and ``p + other`` the sum of two profiles.

    Args:
        model: The model whose modules the work is attributed to. None counts operators only, in a single row.

    Raises:
        InputError: The model is no ``nn.Module``; the message says what to pass.
        OverlapError: When the block ends before that of another profile that began inside it, or on another thread.
            Tasks of ``asyncio`` may take turns: each profile counts its own task.
        UnsupportedModelError: When the block ends, if a TorchScript model ran as a fused kernel, where its operators
            cannot be recorded.

    Example:
        >>> import torch, profiler
        >>> model = torch.nn.Conv2d(3, 8, 3, device="meta")
        >>> with profiler.profile(model) as p:
        ...     output = model(torch.empty(1, 3, 10, 10, device="meta"))
        >>> p.totals.macs == 8 * 8 * 8 * (3 * 3 * 3)  # each of 8 · 8 · 8 outputs is a sum of 27 products
        True
        >>> with p:
        ...     output.sum().backward()
        >>> p.phases["backward"].macs  # the weight's gradient alone: the input requires none
        13824
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        """Prepare to count; hooks are attached when the block begins."""
        if model is not None:
            require_module(model)
        self._session = Session(model)
        self._depth = 0
        self._result: Profile | None = None
        self._findings: tuple[Finding, ...] = ()

    def __enter__(self) -> Self:
        """Attach the hooks; entering it again inside its own block has no effect."""
        depth = self._depth
        try:
            if depth == 0:
                self._session.start()
            self._depth, self._result = depth + 1, None
            return self  # noqa: TRY300 - an interrupt at the return has to be undone too, so it stays in the try
        except BaseException:
            self._depth = depth
            if depth == 0:
                self._session.abandon()
            raise

    @guarded
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the hooks when the outermost block ends."""
        self._depth -= 1
        if self._depth == 0:
            self._session.stop(failed=kind is not None)

    @property
    def result(self) -> Profile:
        """The `profiler.Profile` of what ran so far: immutable, without references to the model."""
        if self._depth:
            return self._tally()
        if self._result is None:
            self._result = self._tally()
        return self._result

    @property
    def totals(self) -> Totals:
        """The costs of the whole run; much faster than the whole ``result``, as long as that was not asked for."""
        counts = None if self._result is not None else self._session.call_counts()
        return self.result.totals if counts is None else live_totals(counts)

    def gather(self) -> Gathered | None:
        """Collect the profiles of all ranks of the default process group on rank 0, where they add up to the whole.

        Every rank has to call it, after its block.

        Returns:
            On rank 0 the profiles by rank, their sums, and a comparison with a run on one device; None on other ranks.

        Raises:
            InputError: There is no process group, it has no other processes, or the block has not ended.
        """
        if self._depth:
            msg = "gather() inside the block would count its own exchange; call it after the block"
            raise InputError(msg)
        return gather(self.result)

    def compare(self, *names: str) -> tuple[Finding, ...]:
        """Compare a forward pass with other counters, such as fvcore or ptflops, and explain every difference.

        The model runs once more on the inputs of its first recorded call, in eval mode and without gradients: once in
        this process, to be counted, and once per peer in a process of its own, on a copy. Its modes, buffers and random
        state are restored. The findings are returned, and ``result.findings`` has them too.

        Args:
            *names: Names of peers, as ``profiler peers`` lists them. "all", or none, stands for those installed.

        Returns:
            One or more findings per peer: its figure, ours, and the causes of the difference.

        Raises:
            UnknownNameError: There is no such peer.
            InputError: The profile has no model, or the model was not called.
            ModelError: The model cannot be pickled for another process.
        """
        select_peers(names)
        live = self._first_call()
        with uninterrupted(), eval_mode(live.model), interruptible():
            counted = count_with_facts(live.model, live.args, live.kwargs, count)
            findings = compare_with_peers(names or ("all",), live, *counted)
        sources = {finding.claim.source for finding in findings}
        self._findings = (*(f for f in self._findings if f.claim.source not in sources), *findings)
        self._result = None
        return findings

    def against(self, *names: str) -> tuple[Finding, ...]:
        """Call ``compare``; the old name, which warns."""
        warn_renamed("profile.against", "profile.compare")
        return self.compare(*names)

    def _first_call(self) -> LiveModel:
        """Return the model and the inputs of its first call, detached from autograd."""
        model, call = self._session.model, self._session.first_call
        if model is None or call is None:
            problem = (
                "has no model; write profiler.profile(model)" if model is None else "recorded no call of its model"
            )
            msg = f"peers count a forward pass, and this profile {problem}"
            raise InputError(msg)
        return LiveModel(model, *tree_map_only(torch.Tensor, torch.Tensor.detach, call))

    def _tally(self) -> Profile:
        return replace(tally(self._session.trace()), findings=self._findings)

    def __add__(self, other: profile | Profile) -> Profile:
        """Return the sum with the profile of another run of the same model."""
        return self.result + (other.result if isinstance(other, profile) else other)

    def __repr__(self) -> str:
        """Return the model and the totals in one line; inside the block, that it runs."""
        if self._depth:
            model = self._session.model
            return f"<profile of {type(model).__name__ if model is not None else 'operators'}: running>"
        return f"<profile of {summary(self.result)}>"
