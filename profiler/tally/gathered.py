"""``Gathered``: the profiles of all ranks of a distributed run, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from profiler.tally.figures import Totals, sum_totals

if TYPE_CHECKING:
    from profiler.tally.profile import Profile


@dataclass(frozen=True, slots=True)
class ModuleShare:
    """The work of a module on all ranks together, and in a run of the whole model on one device."""

    path: str
    #: The MACs of the module itself, without its children: summed over the ranks.
    macs: int
    whole_macs: int
    #: Its other FLOPs.
    other_flops: int
    whole_other_flops: int

    @property
    def copies(self) -> Fraction:
        """How often the work is done: 1 if the ranks divide it, their number if each does all of it."""
        ours, whole = 2 * self.macs + self.other_flops, 2 * self.whole_macs + self.whole_other_flops
        return Fraction(ours, whole) if whole else Fraction(0)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The profiles of all ranks, in the order of the ranks."""

    profiles: tuple[Profile, ...]

    @property
    def totals(self) -> Totals:
        """The work of all ranks together, and the parameters and buffers that they hold; without a peak of memory."""
        return sum_totals(profile.totals for profile in self.profiles)

    @property
    def global_params(self) -> int | None:
        """The parameters of the whole model as the rank that knows of most of them counts them.

        A rank of a pipeline knows only those of its own stages.
        """
        return max((p.global_params for p in self.profiles if p.global_params is not None), default=None)

    @property
    def peak_rank(self) -> int:
        """The rank whose peak of live memory is the highest; the first of several."""
        peaks = [profile.totals.peak_memory.get("total", 0) for profile in self.profiles]
        return peaks.index(max(peaks))

    def compare(self, whole: Profile) -> tuple[ModuleShare, ...]:
        """Compare the sum of the ranks with a run of the *whole* model on one device, module by module.

        *whole* has to be the same step on the batch of all data-parallel ranks together.

        Example:
            >>> import torch, profiler
            >>> p = profiler.count(torch.nn.Linear(2, 3, device="meta"), torch.empty(1, 2, device="meta"))
            >>> [int(row.copies) for row in Gathered((p, p)).compare(p)]  # each of two ranks does everything
            [2]
        """
        rows = []
        for path, node in whole.nodes.items():
            parts = [p.nodes[path].own for p in self.profiles if path in p.nodes]
            macs, other = sum(part.macs for part in parts), sum(part.other_flops for part in parts)
            if node.own.flops or macs or other:
                rows.append(ModuleShare(path, macs, node.own.macs, other, node.own.other_flops))
        return tuple(rows)

    def replicated(self, whole: Profile) -> tuple[ModuleShare, ...]:
        """Return the modules whose work is done more than once, by ranks that repeat each other's."""
        return tuple(row for row in self.compare(whole) if row.copies > 1)
