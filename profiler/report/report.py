"""``Report``: the rows that every format shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING

from profiler import units
from profiler.values.records import TensorSpec, Value, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Node, Operator, Profile, Totals
    from profiler.values.records import Phase


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree: a module, or a run of sisters that do exactly the same."""

    level: int
    name: str
    type: str
    totals: Totals
    calls: int
    output: str
    #: Bytes of the activations that it and what is in it left for the backward pass.
    activations: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the totals: what it is, every digit, and the same in short."""

    label: str
    exact: str
    short: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A profile, and how much of it to show."""

    profile: Profile
    title: str
    depth: int

    @property
    def heading(self) -> str:
        """What was profiled: the model, its inputs and its device."""
        inputs = ", ".join(f"{name} {describe(value)}" for name, value in self.profile.inputs)
        return " · ".join(part for part in (self.title, inputs, self.profile.device) if part)

    @property
    def at_least(self) -> str:
        """The mark of a total of which something is uncounted."""
        return "" if self.profile.is_complete else "≥ "

    def modules(self) -> list[Row]:
        """List the tree, parents first, down to ``depth``."""
        kept = self.profile.memory.activations if self.profile.memory else {}
        return list(_rows(self.profile.tree, self.depth, _with_parents(kept)))

    @property
    def is_step(self) -> bool:
        """Whether there is more than forward work."""
        return any(totals.flops for phase, totals in self.profile.phases.items() if phase != "forward")

    def phases(self) -> list[tuple[Phase, Totals]]:
        """List the phases that did something."""
        return [(phase, totals) for phase, totals in self.profile.phases.items() if totals.flops or totals.bytes_read]

    def step(self) -> list[Line]:
        """List what a training step comes to, and the rules of thumb beside it."""
        p = self.profile
        lines = [self._step("model FLOPs = forward + backward", p.model_flops)]
        if p.phases["recompute"].flops:
            lines.append(self._step("hardware FLOPs = model + recompute", p.hardware_flops))
        if p.tokens is not None:
            rules = [("6·N·T", 6, p.model_flops)]
            rules += [("8·N·T", 8, p.hardware_flops)] if p.phases["recompute"].flops else []
            for name, factor, counted in rules:
                value = factor * p.totals.params * p.tokens
                lines.append(Line(name, units.exact(value), f"{value / counted:.3f} of what is counted"))
        return lines

    def memory(self) -> list[Line]:
        """List the peak of live storages, by category."""
        found = self.profile.memory
        if found is None or not found.peak.total:
            return []
        where = " ".join(part for part in (found.peak.module, found.peak.operator) if part)
        shares = [
            Line(f"  {name.replace('_', ' ')}", units.exact(size), units.size(size))
            for name, size in found.peak.bytes.items()
            if size and name != "total"
        ]
        total = found.peak.total
        lines = [Line("peak memory", units.exact(total), f"{units.size(total)} at {where}"), *shares]
        if found.estimate is not None:
            guess = found.estimate["total"]
            note = f"{units.size(guess)}, {guess / total:.3f} of the peak"
            lines.append(Line("by rule, from parameters", units.exact(guess), note))
        if found.measured is not None:
            ratio = f"{units.size(found.measured)}, {found.measured / total:.3f} of the above"
            lines.append(Line("measured by the allocator", units.exact(found.measured), ratio))
        return lines

    def _step(self, label: str, value: int) -> Line:
        each = self.profile.tokens or self.profile.samples
        name = "token" if self.profile.tokens else "sample"
        return Line(label, self.at_least + units.exact(value), f"{units.count(value // each, 'FLOP')} per {name}")

    def operators(self) -> list[Operator]:
        """List the operators that cost something."""
        return [row for row in self.profile.operators if row.totals.flops or row.totals.bytes_read]

    def totals(self) -> list[Line]:
        """List the totals, with their units."""
        t = self.profile.totals
        dtypes = ", ".join(f"{units.count(n)} {dtype}" for dtype, n in self.profile.params_by_dtype)
        lines = [
            self._line("MACs", t.macs, "MAC"),
            self._line("other FLOPs", t.other_flops, "FLOP"),
            self._line("FLOPs = 2·MACs + other", t.flops, "FLOP"),
            self._line("transcendentals", t.transcendentals, "op"),
            Line("bytes read", self.at_least + units.exact(t.bytes_read), units.size(t.bytes_read)),
            Line("bytes written", self.at_least + units.exact(t.bytes_written), units.size(t.bytes_written)),
            Line("parameters", units.exact(t.params), dtypes),
            Line("buffers", units.exact(t.buffers), f"{units.count(t.buffers)} elements" if t.buffers else ""),
        ]
        if t.trainable_params != t.params:
            lines.insert(7, Line("trainable parameters", units.exact(t.trainable_params)))
        if t.masked_macs != t.macs:
            lines.insert(1, self._line("MACs less the mask's", t.masked_macs, "MAC"))
        return lines

    def _line(self, label: str, value: int, unit: str) -> Line:
        return Line(label, self.at_least + units.exact(value), self.at_least + units.count(value, unit))


def describe(value: Value) -> str:
    """Write an input: its shape and dtype, or its value.

    Example:
        >>> describe(TensorSpec((1, 3, 8, 8), "float32", 192))
        '1×3×8×8 float32'
    """
    if isinstance(value, TensorSpec):
        return f"{units.shape(value.shape)} {value.dtype}"
    found = tensors(value)
    if found:
        return f"[{', '.join(describe(spec) for spec in found)}]"
    return str(value)


def _with_parents(amounts: dict[str, int]) -> dict[str, int]:
    """Add the amount of each path to those of all paths above it; the root is ""."""
    sums: Counter[str] = Counter()
    for path, amount in amounts.items():
        parts = path.split(".") if path else []
        for end in range(len(parts) + 1):
            sums[".".join(parts[:end])] += amount
    return sums


def _rows(node: Node, depth: int, kept: dict[str, int]) -> Iterator[Row]:
    yield _row([node], 0, kept)
    if depth > 0:
        yield from _children(node, depth, 1, kept, 1)


def _children(node: Node, depth: int, level: int, kept: dict[str, int], times: int) -> Iterator[Row]:
    """List the children of a node, sisters that do the same as one row."""
    for _, same in groupby(node.children, lambda child: (_likeness(child), kept.get(child.module.path, 0))):
        sisters = list(same)
        yield _row(sisters, level, kept, times)
        if level < depth:
            yield from _children(_sum_of(sisters), depth, level + 1, kept, times * len(sisters))


def _row(sisters: list[Node], level: int, kept: dict[str, int], times: int = 1) -> Row:
    first = sisters[0]
    module = first.module
    name = first.name if len(sisters) == 1 else f"{first.name}–{_number(sisters[-1].name)}"
    multiple = f" ×{len(sisters)}" if len(sisters) > 1 else ""
    output = ", ".join(units.shape(shape) for shape in module.outputs[:1])
    more = f" +{len(module.outputs) - 1}" if len(module.outputs) > 1 else ""
    silent = "" if _ran(first) or not module.type else "not called"
    total = reduce(add, (node.total for node in sisters))
    activations = times * sum(kept.get(node.module.path, 0) for node in sisters)
    return Row(level, name, module.type + multiple, total, module.calls, output + more or silent, activations)


def _ran(node: Node) -> bool:
    """Say whether a module was called, or one in it; a plain container has no call of its own."""
    return node.module.calls > 0 or any(map(_ran, node.children))


def _likeness(node: Node) -> object:
    """Say what sisters must share to be one row: a numbered name, type, work, outputs and children."""
    stem = node.name.removesuffix(_number(node.name))
    if stem == node.name:
        return node.module.path
    return stem, node.module.type, node.total, node.module.outputs, node.module.calls, _structure(node)


def _number(name: str) -> str:
    return name[len(name.rstrip("0123456789")) :]


def _structure(node: Node) -> object:
    return tuple((child.name, child.module.type, child.total, _structure(child)) for child in node.children)


def _sum_of(sisters: list[Node]) -> Node:
    """Join equal sisters into one node, whose children carry the work of all."""
    if len(sisters) == 1:
        return sisters[0]
    joined = (
        replace(children[0], total=reduce(add, (child.total for child in children)))
        for children in zip(*(sister.children for sister in sisters), strict=True)
    )
    return replace(sisters[0], children=tuple(_deep_sum(child, len(sisters)) for child in joined))


def _deep_sum(node: Node, times: int) -> Node:
    """Multiply what lies below a joined node, whose own total is already that of all."""
    below = (replace(child, total=reduce(add, [child.total] * times)) for child in node.children)
    return replace(node, children=tuple(_deep_sum(child, times) for child in below))
