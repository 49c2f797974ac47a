"""Which operators a compiler merges into one kernel, from the data flow of the run.

Elementwise operators, reductions and copies join the kernel that writes what they read, if both go over the same number
of elements, and if no other kernel has to run between the two: those wait for one and are waited for by the other. What
is written and read only inside a kernel never reaches memory: its bytes vanish.

In the mode "deployed" (an inference engine such as TensorRT), batch norms are folded into the convolution before them,
and elementwise operators join the product or convolution that writes what they read.

Source: the rules of TorchInductor's scheduler (can_fuse in torch/_inductor/scheduler.py), without its limits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from profiler.formulas import RuleKind
from profiler.projection.operator_classes import classify
from profiler.values.data_flow import NO_STORAGE
from profiler.values.records import TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from profiler.tally import Entry, Profile
    from profiler.values.data_flow import OperatorStep

#: Classes of operators that are generated as loops over elements, and so can share one.
_REDUCTIONS = frozenset({"norm", "layer_norm_short", "norm_backward", "group_norm", "group_norm_backward", "reduction"})
_FUSED = _REDUCTIONS | {"pointwise", "cast", "copy", "batch_norm"}
#: Operators that stay kernels of their own: they scatter, or gather windows.
_ALONE = frozenset({"aten.im2col", "aten.col2im", "aten.index_put", "aten.index_put_", "aten._index_put_impl_"})
#: Classes that take elementwise operators into their epilogue in the mode "deployed".
_PRODUCERS = frozenset(
    {
        "matmul", "batched_matmul", "conv", "conv_1x1", "conv_1x1_padded", "conv_few_channels", "conv_grouped",
        "conv_grouped_padded", "depthwise_3x3", "depthwise_5x5", "depthwise_7x7", "depthwise_large",
    }
)  # fmt: skip


class Operand(NamedTuple):
    """A tensor that a kernel reads from memory, or writes there."""

    #: An operator call that has it as an argument, or as a result: index of its record in ``Profile.entries``.
    record: int
    #: Name of the argument; empty for a result.
    name: str
    spec: TensorSpec


class Kernel(NamedTuple):
    """Operator calls that run as one kernel."""

    #: The records of the calls, as indices of ``Profile.entries``.
    records: tuple[int, ...]
    operands: tuple[Operand, ...]


#: A storage, and how often it had been written.
Version = tuple[int, int]


@dataclass(slots=True)
class _Node:
    """A call in the graph of the data flow."""

    record: int
    #: The storages that it reads and writes, each as it was written last: a storage and its version.
    reads: tuple[Version, ...]
    writes: tuple[Version, ...]
    class_: str
    is_fused: bool
    #: The largest number of elements that it goes over; of a product or convolution, those of its result.
    size: int
    #: Number of kernels of their own that it waits for, on the longest way; such a kernel counts itself.
    depth: int


def fuse(profile: Profile, *, deployed: bool = False) -> list[Kernel]:
    """Return the kernels of the operator calls that a compiler may merge; all other calls run as they are.

    A profile without a data flow has none.

    Args:
        profile: The profile.
        deployed: Whether batch norms are folded, and elementwise operators join products and convolutions.
    """
    if profile.flow is None:
        return []
    nodes = _nodes(profile, deployed=deployed)
    readers = _readers(nodes)
    return [_kernel(members, nodes, readers, profile) for members in _groups(nodes, readers, deployed=deployed)]


def _nodes(profile: Profile, *, deployed: bool) -> list[_Node]:
    """Return the calls that launch kernels, with their depth in the graph."""
    classes = [classify(entry) for entry in profile.entries]
    sizes = [_elements(entry, class_) for entry, class_ in zip(profile.entries, classes, strict=True)]
    versions: Counter[int] = Counter()
    depths: dict[Version, int] = defaultdict(int)
    nodes = []
    for step in profile.flow or ():
        entry, class_ = profile.entries[step.record], classes[step.record]
        if entry.kind == RuleKind.FREE:
            continue
        is_loop = class_ in _FUSED and entry.record.packet not in _ALONE and _is_aligned(entry, step)
        reads = tuple((storage, versions[storage]) for storage in step.reads)
        versions.update(set(step.writes))
        writes = tuple((storage, versions[storage]) for storage in step.writes)
        depth = max((depths[version] for version in reads), default=0) + (not is_loop)
        depths.update(dict.fromkeys(writes, depth))
        joins = is_loop or (deployed and class_ in _PRODUCERS)
        nodes.append(_Node(step.record, reads, writes, class_, joins, sizes[step.record], depth))
    return nodes


def _groups(nodes: list[_Node], readers: Mapping[Version, list[int]], *, deployed: bool) -> Iterable[list[int]]:
    """Return the positions of the calls of each kernel, in their order."""
    groups = _DisjointSets(
        len(nodes),
        producers=(i for i, node in enumerate(nodes) if node.class_ in _PRODUCERS),
        reductions=(i for i, node in enumerate(nodes) if node.class_ in _REDUCTIONS),
    )
    writer: dict[Version, int] = {}
    for i, node in enumerate(nodes):
        for version in node.reads if node.is_fused else ():
            j = writer.get(version)
            if j is not None and _joins(nodes[j], node, deployed=deployed, sole=len(readers[version]) == 1):
                groups.join(j, i)
        writer.update(dict.fromkeys(node.writes, i))
    return groups.members(i for i, node in enumerate(nodes) if node.is_fused)


def _joins(producer: _Node, consumer: _Node, *, deployed: bool, sole: bool) -> bool:
    """Return whether *consumer* joins the kernel of *producer*, of whose result it may be the sole reader."""
    if not producer.is_fused or consumer.class_ in _PRODUCERS:
        return False
    if producer.class_ in _PRODUCERS and not (deployed and consumer.class_ not in _REDUCTIONS and sole):
        return False
    return producer.depth == consumer.depth and producer.size == consumer.size


def _kernel(members: list[int], nodes: list[_Node], readers: Mapping[Version, list[int]], profile: Profile) -> Kernel:
    """Return a kernel with what it reads from memory and writes there."""
    inside = set(members)
    reads: dict[Version, Operand] = {}
    writes: dict[Version, Operand] = {}
    for node in (nodes[i] for i in members):
        entry = profile.entries[node.record]
        for version, (name, spec) in zip(node.reads, _operands(entry), strict=False):
            if version not in writes:
                _keep_larger(reads, version, Operand(node.record, name, spec))
        for version, spec in zip(node.writes, tensors(entry.record.results), strict=False):
            _keep_larger(writes, version, Operand(node.record, "", spec))
    written = (operand for version, operand in writes.items() if set(readers[version] or [-1]) - inside)
    return Kernel(tuple(nodes[i].record for i in members), (*reads.values(), *written))


def _keep_larger(operands: dict[Version, Operand], version: Version, operand: Operand) -> None:
    """Note an operand; of several views of one storage the largest."""
    known = operands.get(version)
    if known is None or operand.spec.bytes > known.spec.bytes:
        operands[version] = operand


def kernel_class(classes: Sequence[str]) -> str:
    """Return the class of a kernel that merges operators of these classes.

    Example:
        >>> kernel_class(["pointwise", "norm"]), kernel_class(["conv", "batch_norm", "pointwise"])
        ('fused_reduction', 'conv')
    """
    producer = next((class_ for class_ in classes if class_ in _PRODUCERS), None)
    if producer is not None:
        return producer
    if set(classes) == {"cast"}:
        return "fused_cast"
    if not _REDUCTIONS.isdisjoint(classes):
        return "fused_reduction"
    return "fused_copy" if "copy" in classes else "fused_pointwise"


def _readers(nodes: list[_Node]) -> dict[Version, list[int]]:
    """Return the positions of the calls that read each storage as it was written last."""
    readers: dict[Version, list[int]] = defaultdict(list)
    for i, node in enumerate(nodes):
        for version in dict.fromkeys(node.reads):
            readers[version].append(i)
    return readers


def _elements(entry: Entry, class_: str) -> int:
    operands = [] if class_ in _PRODUCERS else [spec for _, spec in _operands(entry)]
    return max((spec.elements for spec in (*operands, *tensors(entry.record.results))), default=0)


def _operands(entry: Entry) -> list[tuple[str, TensorSpec]]:
    return [(name, spec) for name, value in entry.record.arguments for spec in tensors(value)]


def _is_aligned(entry: Entry, step: OperatorStep) -> bool:
    """Return whether each tensor argument has a storage: packed weights, for one, have none of their own."""
    return len(step.reads) == len(_operands(entry)) and NO_STORAGE not in step.reads


class _DisjointSets:
    """Sets that are joined: union-find, in which the first member stands for its set."""

    def __init__(self, count: int, producers: Iterable[int], reductions: Iterable[int]) -> None:
        self._parents = list(range(count))
        #: The sets with a product or a convolution, and those with a reduction, by their first member.
        self._producers, self._reductions = set(producers), set(reductions)

    def join(self, a: int, b: int) -> None:
        """Join the sets of two members, unless one has a producer and the other a producer or a reduction."""
        first, second = sorted((self._find(a), self._find(b)))
        if first == second or any(self._excludes(*pair) for pair in ((first, second), (second, first))):
            return
        self._parents[second] = first
        for kind in (self._producers, self._reductions):
            if second in kind:
                kind.add(first)

    def _excludes(self, one: int, other: int) -> bool:
        return one in self._producers and (other in self._producers or other in self._reductions)

    def members(self, of: Iterable[int]) -> Iterable[list[int]]:
        """Return the members of each set, in their order."""
        sets: dict[int, list[int]] = defaultdict(list)
        for i in of:
            sets[self._find(i)].append(i)
        return sets.values()

    def _find(self, a: int) -> int:
        while self._parents[a] != a:
            self._parents[a] = a = self._parents[self._parents[a]]
        return a
