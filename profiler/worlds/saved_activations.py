"""The activations that a block saves for its backward pass: a lower bound of memory in any pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.errors import ProfilerError
from profiler.worlds.figures_worker import trace_figures
from profiler.worlds.role_families import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profiler.worlds.rank_figures import RankFigures
    from profiler.worlds.step import Step

#: Bytes of a float32 parameter, its gradient and two states of the optimizer: at most what a block holds for each.
_PARAMETER_BYTES = 16


def saved_bytes(step: Step, degrees: Sequence[int], device: str) -> dict[int, int]:
    """Return a lower bound of what each block saves for one microbatch without checkpointing, by degree of tp.

    It is what the peak grows by with one block more, without the parameters, gradients and states of that block; 0 if
    the worlds cannot be traced.
    """
    families = [Family("whole", tp, checkpoint=False, others=0, shards=None) for tp in degrees]
    ranks = [family.small_rank(step, point) for family in families for point in family.basis.points[:2]]
    answers = trace_figures(ranks, device, None) if ranks else []
    return {tp: _grown(*answers[2 * i : 2 * i + 2]) for i, tp in enumerate(degrees)}


def _grown(fewer: RankFigures | ProfilerError, more: RankFigures | ProfilerError) -> int:
    if isinstance(fewer, ProfilerError) or isinstance(more, ProfilerError):
        return 0
    held = _PARAMETER_BYTES * (more.counts["params"] - fewer.counts["params"])
    return max(0, more.peak_bytes - fewer.peak_bytes - held)
