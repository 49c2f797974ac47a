"""What a profile of a random model is held against: each oracle returns the difference in words, or None.

They share no code with the counter: closed forms; products of ones, which are run; torch's own counter; the same model
on ``meta``, compiled and exported; laws of conservation; and the events of the CPU's allocator.
"""

from __future__ import annotations

import gc
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from allocations import peaks
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import profiler
from random_models import building, leaves
from random_models.building import build, random_spec
from random_models.leaves import LEAVES
from random_models.spec import Spec
from random_models.wrappers import WRAPPERS

if TYPE_CHECKING:
    from random_models.building import RandomModel

WORK = ("macs", "masked_macs", "other_flops", "transcendentals", "bytes_read", "bytes_written")
aten = torch.ops.aten
#: The rows of a batch where memory is compared, and the bytes of numbers that Python hands over.
_ROWS, _NUMBERS = 256, 64


def step(case: RandomModel) -> None:
    """Run the model, and its backward pass if it has one."""
    out = case.model(case.x)
    if case.train:
        out.sum().backward()


def profile_of(case: RandomModel) -> profiler.Profile:
    """Count one step."""
    with warnings.catch_warnings(), profiler.profile(case.model) as p:
        warnings.simplefilter("ignore")
        step(case)
    return p.result


def closed_form(spec: Spec) -> str | None:
    """Compare the MACs of each phase and module with their closed form, and hold the laws of conservation."""
    case = build(spec)
    p = profile_of(case)
    if p.uncounted:
        return f"uncounted: {p.uncounted}"
    macs = {place: row["macs"] for place, row in _rows(p).items() if row["macs"]}
    return _difference("the closed form", macs, case.macs) or conservation(p)


def conservation(p: profiler.Profile) -> str | None:
    """Compare the totals with the sums over modules, phases and operators, and each module with what is in it."""
    whole = {name: getattr(p.totals, name) for name in WORK}
    parts = {
        "the sum of all modules": [node.own for node in p.nodes.values()],
        "the sum of the phases": list(p.phases.values()),
        "the sum of the operators": [operator.totals for operator in p.operators],
        "the root": [p.tree.total],
    }
    for name, costs in parts.items():
        total = {figure: sum(getattr(cost, figure) for cost in costs) for figure in WORK}
        if difference := _difference(name, whole, total):
            return difference
    for node in p.nodes.values():
        inside = [node.own, *(child.total for child in node.children)]
        if node.total.macs != sum(cost.macs for cost in inside):
            return f"{node.module.path}: {node.total.macs} MACs, and {inside} in it"
    return None


def on_meta(spec: Spec) -> str | None:
    """Compare all figures of each phase and module with those on ``meta``."""
    return _difference("meta", _rows(profile_of(build(spec))), _rows(profile_of(build(spec, "meta"))))


def by_ones(spec: Spec) -> str | None:
    """Compare the MACs, in forward and after it, with the products that the same operators take on ones."""
    p, case = profile_of(build(spec)), build(spec)
    with Ones() as ones:
        out = case.model(case.x)
        forward, ones.products = ones.products, 0
        if case.train:
            out.sum().backward()
    counted = p.phases["forward"].macs
    return _difference("ones", (counted, p.totals.macs - counted), (forward, ones.products))


def by_flop_counter(spec: Spec) -> str | None:
    """Compare the FLOPs of the contractions that torch's counter knows with what it counts."""
    p, case = profile_of(build(spec)), build(spec)
    with FlopCounterMode(display=False) as counter:
        step(case)
    known = {str(packet) for packet in flop_registry}
    ours = sum(2 * entry.totals.macs for entry in p.entries if entry.record.packet in known)
    return _difference("torch's counter", ours, counter.get_total_flops())


def compiled(spec: Spec, backend: str = "aot_eager") -> str | None:
    """Compare the MACs of each phase with those of the compiled model."""
    eager, case = profile_of(build(spec)), build(spec)
    torch._dynamo.reset()
    run = torch.compile(case.model, backend=backend)
    with profiler.profile(case.model) as p:
        out = run(case.x)
        if case.train:
            out.sum().backward()
    return _difference(backend, *({phase: each.phases[phase].macs for phase in each.phases} for each in (eager, p)))


def exported(spec: Spec) -> str | None:
    """Compare the MACs of the forward pass with those of the exported model."""
    p, case = profile_of(build(spec)), build(spec)
    program = torch.export.export(case.model, (case.x,))
    return _difference("export", p.phases["forward"].macs, profiler.count(program.module(), case.x).totals.macs)


def by_allocator(spec: Spec) -> str | None:
    """Compare the peak of memory with what the CPU's allocator hands out, workspaces of kernels left out.

    The batch is larger here, so that numbers that Python hands over, which torch holds in 8 bytes each, are lost in it.
    A training step is held against one under a mode that does nothing: where there is a mode, torch itself adds up
    gradients, and scatters them, out of place. The two may differ by a hundredth. So is a model with `max_pool1d`,
    which torch computes with its indices where there is a mode. No tensor is printed, which
    ``asyncio.run`` does with the results of its task at its end: torch prints with modes off, so that no mode sees it.
    """
    with patch.object(leaves, "BATCH", _ROWS), patch.object(building, "BATCH", _ROWS):
        case, twin = build(spec), build(spec)
    p = profile_of(case)
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in [*_held(twin.model), twin.x]}
    gc.collect()
    operators = {entry.record.packet.replace(".", "::") for entry in p.entries}
    under_a_mode = case.train or "aten::max_pool2d_with_indices" in operators
    with Nothing() if under_a_mode else nullcontext(), patch.object(torch.Tensor, "__repr__", object.__repr__):
        allocated = peaks(lambda: step(twin), operators)[1] + sum(held.values())
    ours = p.memory.peak.total if p.memory else 0
    if abs(ours - allocated) <= (allocated // 100 if case.train else 0) + _NUMBERS:
        return None
    return f"the allocator: {allocated}; counted: {ours}"


class Nothing(TorchDispatchMode):
    """Runs each operator as it is."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Ones(TorchDispatchMode):
    """Runs each contraction once more on operands of ones, and adds up its results."""

    products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not all(kind in {torch.Tensor, torch.nn.Parameter} for kind in types):
            return NotImplemented  # a subclass runs on plain tensors inside
        if count := _PRODUCTS.get(func.overloadpacket):
            self.products += count(*args)
        return func(*args, **(kwargs or {}))


def _matrix(left: Any, right: Any) -> int:
    times = 4 if left.is_complex() else 1
    return times * int((_ones(left) @ _ones(right)).sum())


def _ones(tensor: Any) -> Any:
    dense = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    return torch.ones(dense.shape, dtype=torch.float64) if dense is tensor else _stored(tensor, dense)


def _stored(tensor: Any, dense: Any) -> Any:
    whole = torch.ones(dense.shape, dtype=torch.float64)
    return whole if tensor.layout is torch.strided else whole * (dense != 0)


def _convolution(x: Any, weight: Any, _bias: Any, stride: Any, padding: Any, dilation: Any, *rest: Any) -> int:
    transposed, _, groups = rest
    around = [side for size in reversed(padding) for side in (size, size)]
    x = _ones(x) if transposed else functional.pad(_ones(x), around, value=1.0)  # padding counts as multiplied
    none, zeros = None, [0] * len(padding)
    return int(torch.convolution(x, _ones(weight), none, stride, zeros, dilation, transposed, zeros, groups).sum())


def _convolution_backward(_grad: Any, x: Any, weight: Any, _sizes: Any, *rest: Any) -> int:
    *options, wanted = rest
    return (wanted[0] + wanted[1]) * _convolution(x, weight, None, *options)


def _attention(q: Any, k: Any, v: Any, *_: Any) -> int:
    return _scores(q, k) + _matrix(_ones(q) @ _ones(k).mT, v)


def _attention_backward(_grad: Any, q: Any, k: Any, v: Any, *_: Any) -> int:
    # the scores again, and the gradients of q and k; the gradients of v and of the scores
    return 3 * _scores(q, k) + 2 * _matrix(_ones(q) @ _ones(k).mT, v)


def _scores(q: Any, k: Any) -> int:
    return _matrix(q, k.mT)


def _added(_to: Any, left: Any, right: Any, *_: Any) -> int:
    return _matrix(left, right)


_PRODUCTS: dict[Any, Callable[..., int]] = {
    aten.mm: _matrix, aten.bmm: _matrix, aten.addmm: _added, aten.baddbmm: _added, aten.addmm_: _added,
    aten.baddbmm_: _added, aten._sparse_addmm: _added, aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}  # fmt: skip


def _rows(p: profiler.Profile) -> dict[tuple[str, str], dict[str, int]]:
    """Return the figures of each phase and module."""
    rows: dict[tuple[str, str], Counter[str]] = {}
    for entry in p.entries:
        row = rows.setdefault((entry.record.phase, entry.record.module), Counter())
        row.update({name: getattr(entry.totals, name) for name in WORK})
    return {place: {name: row[name] for name in WORK} for place, row in rows.items() if any(row.values())}


def _difference(name: str, ours: Any, theirs: Any) -> str | None:
    if ours == theirs:
        return None
    if isinstance(ours, dict):
        keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        ours, theirs = ({key: each.get(key) for key in keys} for each in (ours, theirs))
    return f"{name}: {theirs}; counted: {ours}"


def _held(model: torch.nn.Module) -> list[torch.Tensor]:
    return [*model.parameters(), *model.buffers()]


_THREADS = {"OtherThread", "OnPool"}
#: Tensors that ``meta`` does not have, or not with a size.
_OPAQUE = {"Sparse", "SparseGradient", "Packed8", "Jagged"}
#: What is no storage of an operator: weights that are made in the first forward, wrappers, a checkpoint's random state.
_UNFOLLOWED = {"Lazy", "Wrapped", "HandWrittenAgain"}
_COMPILED = {"Around", "Residual", "NoGrad", "Twice", "Functional", "AutocastOff", "AutocastOn", "Direct"}
_GRAPHS = {
    "Linear", "Convolution", "Pointwise", "Squared", "Detached", "Convolutions", "Embedded", "Complex", "OtherDtype",
    "Einsum", "Attention", "Encoder", "Normalized", "Shaped", "Parametrized", "Shared",
}  # fmt: skip


@dataclass(frozen=True)
class Oracle:
    """A comparison, the kinds of leaves and of wrappers that it knows, and the models of a full run."""

    compare: Callable[[Spec], str | None]
    leaves: set[str]
    wrappers: set[str]
    models: int

    def spec(self, seed: int) -> Spec:
        """Draw the model of a seed among those that the oracle knows."""
        return random_spec(seed, sorted(self.leaves), sorted(self.wrappers))


#: By name. What an oracle does not know is torch's: ``autocast("cpu")`` has no effect on ``meta``, and attention in
#: inference mode is one operator there; modes are of one thread; torch's counter raises in reentrant checkpoints,
#: and counts the gradients of a convolution with groups twice.
ORACLES = {
    "closed forms": Oracle(closed_form, set(LEAVES), set(WRAPPERS), 10_000),
    "meta": Oracle(on_meta, set(LEAVES) - _OPAQUE, set(WRAPPERS) - {"AutocastOn", "Inference"}, 3_000),
    "ones": Oracle(
        by_ones,
        set(LEAVES) - {"Fused", "Weighted", "Packed8", "Lazy", "Jagged"},
        set(WRAPPERS) - _THREADS - {"Inference", "Chosen"},
        3_000,
    ),
    "torch's counter": Oracle(
        by_flop_counter,
        set(LEAVES) - _OPAQUE - {"Complex", "Lazy", "Convolutions"},
        set(WRAPPERS) - _THREADS - {"Inference", "Chosen", "NoGrad", "AgainInside", "AgainByHand"},
        3_000,
    ),
    "compiled": Oracle(compiled, _GRAPHS, _COMPILED, 200),
    "exported": Oracle(exported, _GRAPHS, _COMPILED, 200),
    "the allocator": Oracle(
        by_allocator, set(LEAVES) - _OPAQUE - _UNFOLLOWED, set(WRAPPERS) - _THREADS - {"Chosen"}, 1_000
    ),
}
