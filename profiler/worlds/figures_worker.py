"""Trace many small worlds in one process, and return the figures of one rank of each.

``python -m profiler.worlds.figures_worker`` reads one request, as `profiler.worlds.worker` does.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profiler.errors import ModelError, ProfilerError
from profiler.util.permissions import permissions
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.rank_figures import RankFigures, rank_figures
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.shortened import block_paths
from profiler.worlds.worker import answer_of, answer_request, error_of, plan_of, run_worker, step_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profiler.projection.mode import Mode
    from profiler.worlds.plan import ParallelPlan
    from profiler.worlds.step import Step

_LAST_LINES = 300
_EVERY_MOMENT = 2**62


@dataclass(frozen=True, slots=True)
class SmallRank:
    """One rank of a small world, whose step has a number of blocks of its own."""

    step: Step
    plan: ParallelPlan
    rank: int


def trace_figures(ranks: Sequence[SmallRank], device: str, mode: Mode | None) -> list[RankFigures | ProfilerError]:
    """Return the figures of each rank, or the error that it raised, from one new process.

    Raises:
        ModelError: The process ended early.
    """
    with tempfile.TemporaryDirectory(prefix="profiler-") as folder:
        answer = Path(folder) / "answer"
        request = {
            "ranks": [asdict(rank) for rank in ranks],
            "device": device,
            "mode": mode,
            "answer": str(answer),
            "sys_path": sys.path,
            "permissions": asdict(permissions()),
        }
        log = run_worker("profiler.worlds.figures_worker", json.dumps(request))
        if not answer.is_file():
            msg = f"{ranks[0].step.target} could not be traced: its process ended: {log[-_LAST_LINES:].strip()}"
            raise ModelError(msg)
        return [_read(one) for one in json.loads(answer.read_text(encoding="utf-8"))]


def _read(answer: dict[str, Any]) -> RankFigures | ProfilerError:
    return RankFigures(**answer["figures"]) if "figures" in answer else error_of(answer)


def _answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    ranks = [SmallRank(step_of(r["step"]), plan_of(r["plan"]), r["rank"]) for r in request["ranks"]]
    return list(_answers(ranks, request["device"], request["mode"]))


def _answers(ranks: list[SmallRank], device: str, mode: Mode | None) -> Iterator[dict[str, Any]]:
    """Yield an answer for each rank; those in a row that are the same rank of the same mesh share its groups."""
    for (mesh, rank), group in groupby(ranks, lambda one: (one.plan.mesh, one.rank)):
        with fake_ranks(rank, mesh.world):
            for one in group:
                try:
                    yield {"figures": asdict(figures_of(one, device, mode))}
                except Exception as error:  # noqa: BLE001 - the caller decides what it means
                    yield answer_of(error, one.step.target)


def figures_of(one: SmallRank, device: str, mode: Mode | None) -> RankFigures:
    """Return the figures of the rank that the default process group is.

    Raises:
        InputError: The model, the step and the plan do not fit.
        ModelError: The model raised.
    """
    profile = profile_rank(one.step, one.plan, moments=_EVERY_MOMENT)
    paths = block_paths(one.step.target, one.step.dtype, one.step.blocks or 0)
    return rank_figures(profile, paths, device, mode)


if __name__ == "__main__":
    answer_request(_answer)
