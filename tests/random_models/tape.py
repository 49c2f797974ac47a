"""The tape on which the parts of a random model write what they compute, and the cost of a training step over it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 3


@dataclass
class Value:
    """The result of a part: how many columns it has, and whether autograd follows it."""

    width: int
    requires_grad: bool
    number: int = field(default_factory=count().__next__)


@dataclass
class Region:
    """The body of a checkpoint: backward runs all of it again.

    A reentrant one if its result is reached; another if a tensor is needed that the body saved.
    """

    active: bool = True
    out: Value | None = None


@dataclass
class Op:
    """A call of a part: what it computes in forward, for the gradient of its weight, and for that of its input."""

    path: str
    inputs: list[Value]
    output: Value
    macs: int
    trained: bool
    regions: tuple[Region, ...]
    #: How many of the outermost checkpoints do not notice what the call saves for backward.
    blind: int
    #: What all gradients take together, where that is no multiple of the forward pass.
    backward: int | None = None


class Tape:
    """The calls of a model in order, and the cost of a step over them."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        #: The path of the part that is being built, the checkpoints around it, and whether autograd is on.
        self.path: list[str] = []
        self.regions: list[Region] = []
        self.grad = True
        self.by_hand = self.in_task = self.autocast = self.inference = self.branch = False
        #: How many of the checkpoints around are hidden from what is saved, by other hooks for saved tensors.
        self.blind = 0
        #: Layers that were built so far, for parts that share them.
        self.layers: list[Any] = []
        #: Whether a parameter may be made in the first forward: not where the parts around read the parameters before.
        self.lazy = True

    def call(
        self, inputs: list[Value], width: int, macs: int = 0, *, trained: bool = False, cut: bool = False,
        saves: bool = True, backward: int | None = None,
    ) -> Value:  # fmt: skip
        """Write a call, and return its value."""
        follows = self.grad and not cut and (trained or any(value.requires_grad for value in inputs))
        output = Value(width, follows)
        regions, blind = tuple(self.regions), self.blind if saves else len(self.regions)
        self.ops.append(Op(".".join(self.path), inputs, output, macs, trained, regions, blind, backward))
        return output

    @contextmanager
    def within(self, **flags: bool) -> Iterator[None]:
        """Set flags for the parts that are built in the block."""
        before = {name: getattr(self, name) for name in flags}
        vars(self).update(flags)
        yield
        vars(self).update(before)

    def costs(self, result: Value, *, train: bool) -> dict[tuple[str, str], int]:
        """Return the MACs by phase and path; with *train* those of the gradients, and of what checkpoints run again."""
        reached = self.reached(result) if train else set()
        again = {id(region) for op in self.ops for region in _run_again(op, reached)}
        costs: dict[tuple[str, str], int] = {}
        for op in self.ops:
            reruns = sum(region.active and id(region) in again for region in op.regions)
            macs = {"forward": op.macs, "recompute": reruns * op.macs, "backward": _backward(op, reached)}
            for phase, number in macs.items():
                costs[phase, op.path] = costs.get((phase, op.path), 0) + number
        return {place: macs for place, macs in costs.items() if macs}

    def repeat(self, start: int, out: Value) -> Value:
        """Write the calls since *start* once more, and return what *out* is then: the same modules run again."""
        values: dict[int, Value] = {}
        regions = {id(region): region for region in self.regions}
        for op in self.ops[start:]:
            for region in op.regions:
                regions.setdefault(id(region), Region(region.active, region.out))
            inputs = [values.get(value.number, value) for value in op.inputs]
            values[op.output.number] = output = Value(op.output.width, op.output.requires_grad)
            inside = tuple(regions[id(region)] for region in op.regions)
            self.ops.append(replace(op, inputs=inputs, output=output, regions=inside))
        for region in regions.values():
            if region.out is not None and region not in self.regions:
                region.out = values.get(region.out.number, region.out)
        return values.get(out.number, out)

    def reached(self, result: Value) -> set[int]:
        """Return the values that backward comes to from *result*."""
        reached = {result.number} if result.requires_grad else set()
        for op in reversed(self.ops):
            if op.output.number in reached:
                reached |= {value.number for value in op.inputs if value.requires_grad}
        return reached


def _backward(op: Op, reached: set[int]) -> int:
    if op.output.number not in reached:
        return 0
    gradients = op.trained + sum(value.requires_grad for value in op.inputs)
    return gradients * op.macs if op.backward is None else op.backward


def _run_again(op: Op, reached: set[int]) -> list[Region]:
    """Return the checkpoints that backward runs again for the sake of a call."""
    return [
        region
        for number, region in enumerate(op.regions)
        if (region.out.number in reached if region.out else number >= op.blind and op.output.number in reached)
    ]
