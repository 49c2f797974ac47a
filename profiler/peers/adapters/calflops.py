"""calflops: multiply-adds of the functions that it replaces, each called by its name while a module is running.

It replaces ``F.linear``, the convolutions, ``torch.matmul``, ``addmm`` and ``baddbmm``; an operator that is called any
other way (``@``, ``bmm``, einsum, attention in one kernel) adds nothing. It is asked without gradients, like the rest.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.peers.emulation.calflops_functions import below, calls, fused
from profiler.peers.emulation.hook_based import HookCounterModel
from profiler.peers.peer import Peer, PeerResult
from profiler.tally.tally import cost_record
from profiler.values.findings import CauseKind, Contribution, is_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

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
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
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
    return PeerResult(macs, dict(modules), params)


def _wrong(code: str, kind: CauseKind, why: str, where: str, names: str) -> None:
    """Register what calls of the functions with one of *names* in theirs are wrong by."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for call in calls(forward_pass):
            if any(part in call.name for part in names.split()):
                yield Contribution(call.module, call.name.rpartition(".")[2], call.macs - call.claimed)

    PEER.deviates(code, kind, why, where=_OPS + where, seen=_SEEN)(rule)


_wrong(
    "CF-LINEAR", CauseKind.DTYPE, "counts a linear layer of complex numbers as real", "_linear_flops_compute", "linear"
)
_wrong(
    "CF-CONV",
    CauseKind.PADDING,
    "takes too few outputs of a convolution whose padding is 'same' and whose kernel is even",
    "_conv_flops_compute",
    ".conv1d .conv2d .conv3d",
)
_wrong(
    "CF-CONVT",
    CauseKind.GROUPS,
    "divides the channels of a grouped transposed convolution by the groups once more",
    "_conv_trans_flops_compute",
    ".conv_transpose",
)
_wrong(
    "CF-MATMUL",
    CauseKind.BROADCAST,
    "counts a matmul by the elements of its first operand, and a vector as a matrix",
    "_matmul_flops_compute",
    "matmul",
)


class _Ran(NamedTuple):
    """MACs of an operator in a module, as they run with gradients."""

    module: str
    operator: str
    macs: int


def _ran(forward_pass: ForwardPass) -> Iterator[_Ran]:
    """List the MACs, fused operators taken apart."""
    tops = fused(forward_pass)
    for entry in forward_pass.entries:
        if not any(is_under(entry.record.module, top) for top in tops):
            yield _Ran(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in below(forward_pass, tops):
        for part in whole.parts:
            yield _Ran(whole.record.module, part.packet, whole.record.calls * part.calls * cost_record(part).macs)


def _code(forward_pass: ForwardPass, ran: _Ran) -> str:
    """Say why a product is not seen, if it is not."""
    facts = forward_pass.module(ran.module)
    if facts is not None and (facts.is_a("RNNBase") or facts.is_a("RNNCellBase")):
        return "CF-RNN"
    return "CF-SDPA" if "scaled_dot_product" in ran.operator else "CF-PRODUCTS"


def _unseen(code: str, kind: CauseKind, why: str, where: str) -> None:
    """Register the MACs that no call of a replaced function computes."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        seen: Counter[str] = Counter()
        for call in calls(forward_pass):
            seen[call.module] += call.macs
        for ran in _ran(forward_pass):
            if _code(forward_pass, ran) == code:
                known = min(seen[ran.module], ran.macs) if code == "CF-PRODUCTS" else 0
                seen[ran.module] -= known
                yield Contribution(ran.module, ran.operator, ran.macs - known)

    PEER.deviates(code, kind, why, where=_OPS + where, seen=_SEEN)(rule)


_unseen(
    "CF-SDPA",
    CauseKind.ATTENTION,
    "does not see attention in one kernel: its two products are left out",
    "_patch_functionals",
)
_unseen("CF-RNN", CauseKind.RECURRENT, "gives recurrent layers FLOPs but no MACs", "_rnn_forward_hook")
_unseen(
    "CF-PRODUCTS",
    CauseKind.FUNCTIONAL,
    "replaces few functions: products by @, bmm, mm, einsum and others are left out",
    "_patch_tensor_methods",
)


@PEER.deviates(
    "CF-FASTPATH",
    CauseKind.FUSED,
    "runs with gradients enabled, and so finds layers where we saw one fused operator",
    where="calflops/flops_counter.py: calculate_flops",
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move what ran in a fused operator to where the same runs without."""
    tops = fused(forward_pass)
    for entry in forward_pass.entries:
        if any(is_under(entry.record.module, top) for top in tops):
            yield Contribution(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in below(forward_pass, tops):
        amount = sum(part.calls * cost_record(part).macs for part in whole.parts)
        yield Contribution(whole.record.module, whole.record.packet, -whole.record.calls * amount)


@PEER.deviates(
    "CF-ALIAS",
    CauseKind.ALIAS,
    "adds up a shared module under each of its parents, with the calls of all",
    where="calflops/utils.py: get_module_macs",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Compare what is claimed of a shared module at each of its names with what was called there."""
    met = HookCounterModel(forward_pass, {}).met
    claimed: Counter[str] = Counter()
    for call in calls(forward_pass):
        claimed[call.module] += call.claimed
    for facts in forward_pass.facts:
        whole = sum(claimed[name] for name in facts.paths)
        for name in facts.paths:
            yield Contribution(name, facts.type.rpartition(".")[2], claimed[name] - whole * (name in met))


@PEER.deviates(
    "CF-PARAMS",
    CauseKind.PARAMETERS,
    "counts the parameters that ask for a gradient",
    where="calflops/flops_counter.py: CalFlopsPipline.reset_flops_calculate",
    seen=_SEEN,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the frozen parameters, each storage once."""
    frozen = {held.key: (facts, held) for facts in forward_pass.facts for held in facts.params if not held.trainable}
    return (Contribution(facts.path, held.name, prod(held.shape)) for facts, held in frozen.values())
