"""calflops: multiply-adds of the functions that it replaces, each called by its name while a module is running.

It replaces ``F.linear``, the convolutions, ``torch.matmul``, ``addmm`` and ``baddbmm``; an operator that is called any
other way (``@``, ``bmm``, einsum, attention in one kernel) adds nothing. It is asked without gradients, like the rest.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.claims import Kind, Share, is_under
from profiler.peers.calflops_calls import below, calls, fused
from profiler.peers.hooks import Hooked
from profiler.peers.peer import Answer, Peer
from profiler.tally.tally import price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.scene import Scene

PEER = Peer(
    "calflops",
    unit="MAC",
    distributions=("calflops",),
    convention="Multiply-adds of the functions of torch that it replaces, where a model calls them by these names.",
    install="pip install 'profiler[peers]'",
)
_SEEN = "0.3.2"
_OPS = "calflops/pytorch_ops.py: "


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
    """Ask for the numbers, and read those of the modules before they are taken away."""
    from calflops import calculate_flops, calculate_pipline  # noqa: PLC0415 - the peer itself
    from calflops.utils import get_module_macs  # noqa: PLC0415 - an extra

    modules: dict[str, int] = {}
    end = calculate_pipline.CalFlopsPipline.end_flops_calculate

    def read(pipeline: Any) -> None:
        modules.update((path, get_module_macs(module)) for path, module in model.named_modules())
        end(pipeline)

    calculate_pipline.CalFlopsPipline.end_flops_calculate = read
    _, macs, params = calculate_flops(
        model, args=list(args), kwargs=dict(kwargs), print_results=False, output_as_string=False
    )
    return Answer(macs, dict(modules), params)


def _wrong(code: str, kind: Kind, why: str, where: str, names: str) -> None:
    """Register what calls of the functions with one of *names* in theirs are wrong by."""

    def rule(scene: Scene) -> Iterator[Share]:
        for call in calls(scene):
            if any(part in call.name for part in names.split()):
                yield Share(call.module, call.name.rpartition(".")[2], call.macs - call.claimed)

    PEER.departs(code, kind, why, where=_OPS + where, seen=_SEEN)(rule)


_wrong("CF-LINEAR", Kind.DTYPE, "counts a linear layer of complex numbers as real", "_linear_flops_compute", "linear")
_wrong(
    "CF-CONV",
    Kind.PADDING,
    "takes too few outputs of a convolution whose padding is 'same' and whose kernel is even",
    "_conv_flops_compute",
    ".conv1d .conv2d .conv3d",
)
_wrong(
    "CF-CONVT",
    Kind.GROUPS,
    "divides the channels of a grouped transposed convolution by the groups once more",
    "_conv_trans_flops_compute",
    ".conv_transpose",
)
_wrong(
    "CF-MATMUL",
    Kind.BROADCAST,
    "counts a matmul by the elements of its first operand, and a vector as a matrix",
    "_matmul_flops_compute",
    "matmul",
)


class _Ran(NamedTuple):
    """MACs of an operator in a module, as they run with gradients."""

    module: str
    operator: str
    macs: int


def _ran(scene: Scene) -> Iterator[_Ran]:
    """List the MACs, fused operators taken apart."""
    tops = fused(scene)
    for entry in scene.entries:
        if not any(is_under(entry.record.module, top) for top in tops):
            yield _Ran(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in below(scene, tops):
        for part in whole.parts:
            yield _Ran(whole.record.module, part.packet, whole.record.calls * part.calls * price(part).macs)


def _code(scene: Scene, ran: _Ran) -> str:
    """Say why a product is not seen, if it is not."""
    facts = scene.module(ran.module)
    if facts is not None and (facts.is_a("RNNBase") or facts.is_a("RNNCellBase")):
        return "CF-RNN"
    return "CF-SDPA" if "scaled_dot_product" in ran.operator else "CF-PRODUCTS"


def _unseen(code: str, kind: Kind, why: str, where: str) -> None:
    """Register the MACs that no call of a replaced function computes."""

    def rule(scene: Scene) -> Iterator[Share]:
        seen: Counter[str] = Counter()
        for call in calls(scene):
            seen[call.module] += call.macs
        for ran in _ran(scene):
            if _code(scene, ran) == code:
                known = min(seen[ran.module], ran.macs) if code == "CF-PRODUCTS" else 0
                seen[ran.module] -= known
                yield Share(ran.module, ran.operator, ran.macs - known)

    PEER.departs(code, kind, why, where=_OPS + where, seen=_SEEN)(rule)


_unseen(
    "CF-SDPA",
    Kind.ATTENTION,
    "does not see attention in one kernel: its two products are left out",
    "_patch_functionals",
)
_unseen("CF-RNN", Kind.RECURRENT, "gives recurrent layers FLOPs but no MACs", "_rnn_forward_hook")
_unseen(
    "CF-PRODUCTS",
    Kind.FUNCTIONAL,
    "replaces few functions: products by @, bmm, mm, einsum and others are left out",
    "_patch_tensor_methods",
)


@PEER.departs(
    "CF-FASTPATH",
    Kind.FUSED,
    "runs with gradients enabled, and so finds layers where we saw one fused operator",
    where="calflops/flops_counter.py: calculate_flops",
    seen=_SEEN,
)
def fast_path(scene: Scene) -> Iterator[Share]:
    """Move what ran in a fused operator to where the same runs without."""
    tops = fused(scene)
    for entry in scene.entries:
        if any(is_under(entry.record.module, top) for top in tops):
            yield Share(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in below(scene, tops):
        amount = sum(part.calls * price(part).macs for part in whole.parts)
        yield Share(whole.record.module, whole.record.packet, -whole.record.calls * amount)


@PEER.departs(
    "CF-ALIAS",
    Kind.ALIAS,
    "adds up a shared module under each of its parents, with the calls of all",
    where="calflops/utils.py: get_module_macs",
    seen=_SEEN,
)
def alias(scene: Scene) -> Iterator[Share]:
    """Compare what is claimed of a shared module at each of its names with what was called there."""
    met = Hooked(scene, {}).met
    claimed: Counter[str] = Counter()
    for call in calls(scene):
        claimed[call.module] += call.claimed
    for facts in scene.facts:
        whole = sum(claimed[name] for name in facts.names)
        for name in facts.names:
            yield Share(name, facts.type.rpartition(".")[2], claimed[name] - whole * (name in met))


@PEER.departs(
    "CF-PARAMS",
    Kind.PARAMETERS,
    "counts the parameters that ask for a gradient",
    where="calflops/flops_counter.py: CalFlopsPipline.reset_flops_calculate",
    seen=_SEEN,
    quantity="params",
)
def params(scene: Scene) -> Iterator[Share]:
    """Add the frozen parameters, each storage once."""
    frozen = {held.key: (facts, held) for facts in scene.facts for held in facts.params if not held.trainable}
    return (Share(facts.path, held.name, prod(held.shape)) for facts, held in frozen.values())
