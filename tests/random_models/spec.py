"""The description of a random model, which is drawn, built, and made smaller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    #: What a leaf or a wrapper may be, more often if it is there more often.
    Kinds = Collection[str]

#: Of the seeds of parts, those that are tried when a model is made smaller.
_SMALL_SEEDS = range(4)
_SIMPLEST = "Linear"


@dataclass(frozen=True)
class Spec:
    """A part: its kind, the seed that decides its sizes and options, and the parts in it, one after the other."""

    kind: str
    seed: int
    parts: tuple[Spec, ...] = ()

    def __repr__(self) -> str:
        """Return the call that makes it."""
        parts = ", ".join(map(repr, self.parts))
        return f'Spec("{self.kind}", {self.seed}{f", ({parts},)" if parts else ""})'

    def kinds(self) -> set[str]:
        """Return the kinds in it."""
        return {self.kind}.union(*(part.kinds() for part in self.parts))

    def size(self) -> int:
        """Return the number of its parts, itself included."""
        return 1 + sum(part.size() for part in self.parts)


def draw(rng: Random, leaves: Kinds, wrappers: Kinds, depth: int = 4) -> Spec:
    """Draw a model: one to three parts in a row, each a leaf, or a wrapper around others."""
    return _draw_chain("Chain", rng, tuple(leaves), tuple(wrappers), depth)


def _draw_chain(kind: str, rng: Random, leaves: tuple[str, ...], wrappers: tuple[str, ...], depth: int) -> Spec:
    seed = rng.randrange(10**6)
    return Spec(kind, seed, tuple(_draw_part(rng, leaves, wrappers, depth) for _ in range(rng.randint(1, 3))))


def _draw_part(rng: Random, leaves: tuple[str, ...], wrappers: tuple[str, ...], depth: int) -> Spec:
    if depth <= 0 or rng.random() < 0.4:
        return Spec(rng.choice(leaves), rng.randrange(10**6))
    return _draw_chain(rng.choice(wrappers), rng, leaves, wrappers, depth - 1)


def shrink(spec: Spec, fails: Callable[[Spec], bool]) -> Spec:
    """Return the smallest model that still fails: parts are dropped and simplified one at a time, until none can be."""
    smaller = next((each for each in _simpler(spec) if fails(each)), None)
    return spec if smaller is None else shrink(smaller, fails)


def _simpler(spec: Spec) -> Iterator[Spec]:
    """Yield models that are a step simpler: the largest steps first."""
    for part in spec.parts:
        if part.parts:
            yield Spec("Chain", spec.seed, part.parts)
    for number, part in enumerate(spec.parts):
        before, after = spec.parts[:number], spec.parts[number + 1 :]
        if before or after:
            yield replace(spec, parts=(*before, *after))
        if part.parts:
            yield replace(spec, parts=(*before, *part.parts, *after))
    for number, part in enumerate(spec.parts):
        before, after = spec.parts[:number], spec.parts[number + 1 :]
        options = _simpler(part) if part.parts else _simpler_leaves(part)
        yield from (replace(spec, parts=(*before, each, *after)) for each in options if each != part)
    yield from (replace(spec, seed=seed) for seed in _SMALL_SEEDS if seed < spec.seed)


def _simpler_leaves(leaf: Spec) -> Iterator[Spec]:
    if leaf.kind != _SIMPLEST:
        yield from (Spec(_SIMPLEST, seed) for seed in _SMALL_SEEDS)
    yield from (Spec(leaf.kind, seed) for seed in _SMALL_SEEDS if seed < leaf.seed)
