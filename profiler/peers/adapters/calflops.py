"""calflops: multiply-adds of the functions that it patches, if the model calls them by name.

It patches ``F.linear``, the convolutions, ``torch.matmul``, ``addmm`` and ``baddbmm``, and adds their counts to the
module that is running. An operator that is called in any other way (``@``, ``bmm``, einsum, fused attention) counts 0.
The model runs with gradients enabled.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.calflops_functions import calls_inside, fused_modules, operator_macs, patched_calls
from profiler.peers.emulation.hook_based import HookCounterModel
from profiler.peers.forward_pass import composite_macs, mac_contributions
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, is_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.emulation.calflops_functions import OperatorMacs
    from profiler.peers.forward_pass import ForwardPass

PEER = Peer(
    "calflops",
    unit="MAC",
    distributions=("calflops",),
    convention="Multiply-adds of the torch functions that it patches, if the model calls them by these names.",
    install="pip install 'profiler[peers]'",
)
_VERSIONS = "0.3.2"
_OPS = "calflops/pytorch_ops.py: "


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Count one forward pass, and read the counts of modules before calflops removes them."""
    from calflops import calculate_flops, calculate_pipline  # noqa: PLC0415 - the peer itself
    from calflops.utils import get_module_macs  # noqa: PLC0415 - the peer itself

    modules: dict[str, int] = {}
    end = calculate_pipline.CalFlopsPipline.end_flops_calculate

    def read_and_end(pipeline: Any) -> None:
        modules.update((path, get_module_macs(module)) for path, module in model.named_modules())
        end(pipeline)

    calculate_pipline.CalFlopsPipline.end_flops_calculate = read_and_end
    _, macs, params = calculate_flops(
        model, args=list(args), kwargs=dict(kwargs), print_results=False, output_as_string=False
    )
    return PeerResult(macs, dict(modules), params)


def _add_wrong_formula(code: str, kind: CauseKind, why: str, where: str, names: str) -> None:
    """Register the error of the formula for functions whose name contains one of *names*."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        for call in patched_calls(forward_pass):
            if any(part in call.name for part in names.split()):
                yield Contribution(call.module, call.name.rpartition(".")[2], call.macs - call.claimed)

    PEER.deviates(code, kind, why, where=_OPS + where, versions=_VERSIONS)(rule)


_add_wrong_formula(
    "CF-LINEAR", CauseKind.DTYPE, "counts a complex linear layer as if it were real", "_linear_flops_compute", "linear"
)
_add_wrong_formula(
    "CF-CONV",
    CauseKind.PADDING,
    "computes too small an output for a convolution with padding='same' and an even kernel size",
    "_conv_flops_compute",
    ".conv1d .conv2d .conv3d",
)
_add_wrong_formula(
    "CF-CONVT",
    CauseKind.GROUPS,
    "divides the channels of a grouped transposed convolution by the groups twice",
    "_conv_trans_flops_compute",
    ".conv_transpose",
)
_add_wrong_formula(
    "CF-MATMUL",
    CauseKind.BROADCAST,
    "counts a matmul by the elements of its first operand, ignoring broadcasting, and a vector as a matrix",
    "_matmul_flops_compute",
    "matmul",
)


def _unseen_code(forward_pass: ForwardPass, operator: OperatorMacs) -> str:
    """Return the code of the deviation that applies to an operator if no patched function calls it."""
    facts = forward_pass.module(operator.module)
    if facts is not None and (facts.is_a("RNNBase") or facts.is_a("RNNCellBase")):
        return "CF-RNN"
    return "CF-SDPA" if "scaled_dot_product" in operator.operator else "CF-PRODUCTS"


def _add_unseen(code: str, kind: CauseKind, why: str, where: str) -> None:
    """Register the MACs that no call of a patched function computes."""

    def rule(forward_pass: ForwardPass) -> Iterator[Contribution]:
        patched: Counter[str] = Counter()
        for call in patched_calls(forward_pass):
            patched[call.module] += call.macs
        for operator in operator_macs(forward_pass):
            if _unseen_code(forward_pass, operator) == code:
                counted = min(patched[operator.module], operator.macs) if code == "CF-PRODUCTS" else 0
                patched[operator.module] -= counted
                yield Contribution(operator.module, operator.operator, operator.macs - counted)

    PEER.deviates(code, kind, why, where=_OPS + where, versions=_VERSIONS)(rule)


_add_unseen(
    "CF-SDPA",
    CauseKind.ATTENTION,
    "does not see attention that runs as one kernel: its two products count as 0",
    "_patch_functionals",
)
_add_unseen("CF-RNN", CauseKind.RECURRENT, "counts FLOPs but no MACs for recurrent layers", "_rnn_forward_hook")
_add_unseen(
    "CF-PRODUCTS",
    CauseKind.FUNCTIONAL,
    "patches few functions: products by @, bmm, mm, einsum and others count as 0",
    "_patch_tensor_methods",
)


@PEER.deviates(
    "CF-FASTPATH",
    CauseKind.FUSED,
    "runs with gradients enabled, so the layers inside an encoder layer run one by one; in our run they are one fused "
    "operator",
    where="calflops/flops_counter.py: calculate_flops",
    versions=_VERSIONS,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Replace the MACs of fused operators by those of the operators that run with gradients enabled."""
    fused = fused_modules(forward_pass)
    yield from mac_contributions(
        entry for entry in forward_pass.entries if any(is_under(entry.record.module, top) for top in fused)
    )
    for call in calls_inside(forward_pass, fused):
        yield Contribution(call.record.module, call.record.packet, -call.record.calls * composite_macs(call))


@PEER.deviates(
    "CF-ALIAS",
    CauseKind.ALIAS,
    "adds the calls of a shared module under all its names to each of its parents",
    where="calflops/utils.py: get_module_macs",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Compare the calls under each path of a shared module with what calflops reports there."""
    visited = HookCounterModel(forward_pass, {}).visited
    claimed: Counter[str] = Counter()
    for call in patched_calls(forward_pass):
        claimed[call.module] += call.claimed
    for facts in forward_pass.facts:
        whole = sum(claimed[path] for path in facts.paths)
        for path in facts.paths:
            yield Contribution(path, facts.type.rpartition(".")[2], claimed[path] - whole * (path in visited))


@PEER.deviates(
    "CF-PARAMS",
    CauseKind.PARAMETERS,
    "counts trainable parameters only",
    where="calflops/flops_counter.py: CalFlopsPipline.reset_flops_calculate",
    versions=_VERSIONS,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the frozen parameters, each storage once."""
    frozen = {p.key: (facts, p) for facts in forward_pass.facts for p in facts.params if not p.trainable}
    return (Contribution(facts.path, param.name, prod(param.shape)) for facts, param in frozen.values())
