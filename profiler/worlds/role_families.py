"""Families of ranks whose figures are traced once and extended: one for each role, degrees of tp and ep, and step.

The ranks of a family differ in how many blocks they hold, in the microbatches, in the stages of the pipeline and in the
ranks over which parameters are sharded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from os import cpu_count
from typing import TYPE_CHECKING, Literal

from profiler.errors import ProfilerError
from profiler.worlds.extension import Basis, Extension, Sizes, Verified, verify
from profiler.worlds.figures_worker import SmallRank, trace_figures
from profiler.worlds.mesh import AXES, Mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_figures import RankFigures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.projection.mode import Mode
    from profiler.worlds.step import Step

#: ``whole`` without a pipeline; otherwise a stage of it.
Part = Literal["whole", "first", "middle", "last"]
#: The stage of each part in a small pipeline, from its end if negative, and the fewest stages that have such a one.
_STAGE: dict[Part, tuple[int, int]] = {"whole": (0, 1), "first": (0, 2), "middle": (1, 3), "last": (-1, 2)}
#: The fewest blocks from which figures are linear: with fewer, the last one still acts on the second one.
_BLOCKS = 4
#: Ranks over which parameters are sharded in the traced worlds, and at a point that verifies.
SHARDS, _OTHER_SHARDS = (8, 16), 4


@dataclass(frozen=True, slots=True)
class Family:
    """Ranks that differ only in sizes."""

    part: Part
    tp: int
    checkpoint: bool
    #: Units of a pipeline that are no blocks, which a stage may hold.
    others: int
    #: The only number of shards of the family; None if parameters divide evenly, so that any number can be extended to.
    shards: int | None
    #: Ranks that divide the experts of a layer.
    expert_parallel: int = 1

    @property
    def stages(self) -> int:
        """The fewest stages of a pipeline with such a part."""
        return _STAGE[self.part][1]

    @property
    def basis(self) -> Basis:
        """The terms, and the points to trace."""
        counts, levels, points = self._held_terms() if self.part in {"first", "middle"} else self._terms()
        if self.shards is None:
            return Basis(counts, levels, points)
        own = tuple(replace(point, shards=self.shards) for point in points if point.shards == SHARDS[0])
        counts, levels = (tuple(term for term in terms if "u" not in term) for terms in (counts, levels))
        return Basis(counts, levels, own)

    def _terms(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Sizes, ...]]:
        """Return the terms and points of a whole model or a last stage: one microbatch is live at a time."""
        n, m, (few, many) = self._fewest, self._least, SHARDS
        points = ((n, m, few), (n + 1, m, few), (n, m, many), (n + 1, m, many), (n, m + 1, few), (n - 1, m + 1, few))
        terms = ("", "n", "u", "nu", "m", "nm")
        return terms, terms[:-1], tuple(Sizes(blocks, 1, count, shards) for blocks, count, shards in points)

    def _held_terms(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Sizes, ...]]:
        """Return the terms and points of a stage that holds as many microbatches as stages follow, itself included."""
        n, m, (few, many) = self._fewest, self._least, SHARDS
        w = self._in_flight(self.stages)
        points = [(n, w, m, few), (n + 1, w, m, few), (n, w, m, many), (n + 1, w, m, many)]
        points += [(n, w + 1, m + 1, few), (n + 1, w + 1, m + 1, few), (n, w, m + 1, few), (n - 1, w, m + 1, few)]
        terms = ("", "n", "u", "nu", "w", "nw", "m", "nm")
        return terms, terms[:-1], tuple(Sizes(*point) for point in points)

    @property
    def verifying(self) -> tuple[Sizes, Sizes]:
        """Two points more, one with other blocks and shards, the other with other microbatches."""
        n, first = self._fewest, self._least
        flight = self._in_flight(self.stages)
        more = self._in_flight(self.stages + 2)
        points = (
            Sizes(n + 2, flight, first, _OTHER_SHARDS),
            Sizes(n, more, first + 1 + more - flight, SHARDS[0]),
        )
        return points if self.shards is None else tuple(replace(p, shards=self.shards) for p in points)  # type: ignore[return-value] # two of two

    @property
    def _fewest(self) -> int:
        return _BLOCKS + (0 if self.part == "whole" else self.others)

    @property
    def _least(self) -> int:
        """The fewest microbatches of a step that is like those of any greater number."""
        return max(2, self._in_flight(self.stages) + 1, self.stages)

    def _in_flight(self, stages: int) -> int:
        """Return the microbatches that such a part holds in a pipeline of so many stages under 1F1B."""
        return stages - _STAGE[self.part][0] if self.part in {"first", "middle"} else 1

    def sizes(self, blocks: int, stages: int, microbatches: int, shards: int) -> Sizes:
        """Return the sizes of a rank of the family in a world."""
        return Sizes(blocks, self._in_flight(stages), microbatches, shards)

    def small_rank(self, step: Step, sizes: Sizes) -> SmallRank:
        """Return the rank of a small world that has such sizes."""
        stage = _STAGE[self.part][0]
        stages = sizes.in_flight + stage if self.part in {"first", "middle"} else self.stages
        units = sizes.blocks * stages
        axes = {"pp": stages, "dp": sizes.shards, "tp": self.tp}
        mesh = Mesh(tuple((axis, axes[axis]) for axis in AXES if axes.get(axis, 1) > 1 or axis == "dp"))
        plan = ParallelPlan(mesh, "fsdp", None, "1f1b", sizes.microbatches, "bfloat16", self.expert_parallel)
        blocks = units if self.part == "whole" else units - self.others
        batch = sizes.microbatches * (step.batch or 1)
        own = replace(step, blocks=blocks, batch=batch, checkpoint=self.checkpoint)
        return SmallRank(own, plan, (stage % stages) * sizes.shards * self.tp)


def trace_families(
    families: Sequence[Family], step: Step, device: str, mode: Mode | None
) -> dict[Family, Verified | str]:
    """Trace the points of each family, and return its extension, or why there is none.

    Args:
        families: The families.
        step: What runs; its batch is that of one microbatch.
        device: The device that times are estimated on.
        mode: How the model runs there.
    """
    results: dict[Family, Verified | str] = {}
    with ThreadPoolExecutor(max_workers=cpu_count() or 1) as pool:
        jobs = [pool.submit(_trace, some, step, device, mode) for some in _bundles(families, cpu_count() or 1)]
        for job in jobs:
            results |= job.result()
    return results


def _bundles(families: Sequence[Family], count: int) -> list[list[Family]]:
    """Divide the families over processes, each of which takes seconds to start, by how much they trace."""
    bundles: list[list[Family]] = [[] for _ in range(min(count, len(families)))]
    for family in sorted(families, key=_work, reverse=True):
        min(bundles, key=lambda bundle: sum(map(_work, bundle))).append(family)
    return bundles


def _points(family: Family) -> tuple[Sizes, ...]:
    return (*family.basis.points, *family.verifying)


def _work(family: Family) -> int:
    """Return the calls of blocks that a family traces."""
    return sum(point.blocks * point.microbatches for point in _points(family))


def _trace(families: Sequence[Family], step: Step, device: str, mode: Mode | None) -> dict[Family, Verified | str]:
    ranks = [family.small_rank(step, point) for family in families for point in _points(family)]
    answers = iter(trace_figures(ranks, device, mode))
    return {family: _verified(family, list(islice(answers, len(_points(family))))) for family in families}


def _verified(family: Family, answers: list[RankFigures | ProfilerError]) -> Verified | str:
    """Return the extension of a family from what was traced at all its points, or why there is none."""
    error = next((answer for answer in answers if isinstance(answer, ProfilerError)), None)
    if error is not None:
        return str(error)
    figures = [answer for answer in answers if isinstance(answer, RankFigures)]
    basis = family.basis
    known = len(basis.points)
    try:
        traced = list(zip(family.verifying, figures[known:], strict=True))
        return verify(Extension(basis, tuple(figures[:known])), traced)
    except ProfilerError as failure:
        return str(failure)


def traced_points(families: Iterable[Family]) -> int:
    """Return how many small worlds are traced."""
    return sum(len(_points(family)) for family in families)
