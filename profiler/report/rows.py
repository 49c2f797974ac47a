"""``Report``: the rows that every format shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import add
from typing import TYPE_CHECKING

from profiler import units
from profiler.records import TensorSpec, Value, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profiler.tally import Node, Operator, Profile, Totals


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree: a module, or a run of sisters that do exactly the same."""

    level: int
    name: str
    type: str
    totals: Totals
    calls: int
    output: str


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
        return list(_rows(self.profile.tree, self.depth))

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


def _rows(node: Node, depth: int) -> Iterator[Row]:
    yield _row([node], 0)
    if depth > 0:
        yield from _children(node, depth, 1)


def _children(node: Node, depth: int, level: int) -> Iterator[Row]:
    """List the children of a node, sisters that do the same as one row."""
    for _, same in groupby(node.children, _likeness):
        sisters = list(same)
        yield _row(sisters, level)
        if level < depth:
            yield from _children(_sum_of(sisters), depth, level + 1)


def _row(sisters: list[Node], level: int) -> Row:
    first = sisters[0]
    module = first.module
    name = first.name if len(sisters) == 1 else f"{first.name}–{_number(sisters[-1].name)}"
    times = f" ×{len(sisters)}" if len(sisters) > 1 else ""
    output = ", ".join(units.shape(shape) for shape in module.outputs[:1])
    more = f" +{len(module.outputs) - 1}" if len(module.outputs) > 1 else ""
    silent = "" if _ran(first) or not module.type else "not called"
    total = reduce(add, (node.total for node in sisters))
    return Row(level, name, module.type + times, total, module.calls, output + more or silent)


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
