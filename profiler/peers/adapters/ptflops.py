"""``ptflops`` with its ``pytorch`` backend: hooks on the modules that it has a rule for, and patched functions.

The counts of hooks are summed over the module tree and divided by the batch size. The counts of patched functions are
added to the total only, for the whole batch. The model runs with gradients enabled, as users of ptflops call it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation.hook_based import MissReason, register_extras
from profiler.peers.emulation.parameters import frozen_parameters
from profiler.peers.emulation.ptflops_calls import emulate, in_total, patched_calls, split_missed
from profiler.peers.emulation.ptflops_entry_point import run_ptflops
from profiler.peers.emulation.ptflops_functions import (
    claimed_elements,
    claimed_macs,
    claimed_products,
    true_macs,
)
from profiler.peers.emulation.ptflops_hooks import EXTRAS
from profiler.peers.emulation.unfuse import moved_macs
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, as_number
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass

PEER = Peer(
    "ptflops",
    unit="MAC",
    distributions=("ptflops",),
    convention=(
        "MACs per sample of the layers and functions that it supports, plus one per element of most other operations."
    ),
)
_VERSIONS = "ptflops 0.7.5"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Count one forward pass; the counts of modules are those that its ``accumulate_flops`` returns."""
    from ptflops import pytorch_engine  # noqa: PLC0415 - the peer itself

    sums: dict[nn.Module, int] = {}
    accumulate = pytorch_engine.accumulate_flops

    def store_sum(module: nn.Module) -> int:
        sums[module] = accumulate(module)
        return sums[module]

    pytorch_engine.accumulate_flops = store_sum
    total, params = run_ptflops(model, args, kwargs, "pytorch")
    return PeerResult(total, dict(_rows(model, sums)), params)


def _rows(model: nn.Module, sums: dict[nn.Module, int], parent: str = "") -> Iterator[tuple[str, int]]:
    """Yield the path and sum of each module that was summed, along the walk of ``accumulate_flops``."""
    for name, child in model.named_children():
        if child in sums:
            yield f"{parent}{name}", sums[child]
            yield from _rows(child, sums, f"{parent}{name}.")


def _missed(forward_pass: ForwardPass, reason: MissReason) -> Iterator[Contribution]:
    """Yield the MACs that no hook counts for this reason and no patched function counts either."""
    return (missed for why, missed, _ in split_missed(forward_pass) if why is reason)


@PEER.deviates(
    "PT-RULES",
    CauseKind.UNSUPPORTED_MODULE,
    "has no rule for this torch.nn class (Bilinear, …) and counts its work as 0",
    where="ptflops/pytorch_ops.py: MODULES_MAPPING",
    versions=_VERSIONS,
)
def rules(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of ``torch.nn`` layers without a rule."""
    return _missed(forward_pass, MissReason.NO_RULE)


@PEER.deviates(
    "PT-SUBCLASS",
    CauseKind.SUBCLASS,
    "looks up the exact class: a subclass of a supported layer counts as 0",
    where="ptflops/pytorch_engine.py: is_supported_instance",
    versions=_VERSIONS,
)
def subclasses(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of modules whose class inherits from one with a rule."""
    return _missed(forward_pass, MissReason.SUBCLASS)


@PEER.deviates(
    "PT-BELOW",
    CauseKind.UNSUPPORTED_MODULE,
    "replaces the count of everything inside a module by that module's rule: timm's Attention loses its projections",
    where="ptflops/pytorch_engine.py: accumulate_flops",
    versions=_VERSIONS,
)
def inside_ruled(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs of layers inside a module that has a rule."""
    return _missed(forward_pass, MissReason.INSIDE_RULED)


@PEER.deviates(
    "PT-FASTPATH",
    CauseKind.FUSED,
    "hooks the layers inside an encoder layer, so they run one by one; in our run they are one fused operator",
    where="ptflops/pytorch_engine.py: start_flops_count",
    versions=_VERSIONS,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to the layers inside it."""
    return moved_macs(forward_pass, hooks=True)


@PEER.deviates(
    "PT-FUNCTIONAL",
    CauseKind.FUNCTIONAL,
    "patches few functions: F.linear, F.conv2d, einsum, attention and the operator @ count as 0",
    where="ptflops/pytorch_engine.py: patch_functional, patch_tensor_ops",
    versions=_VERSIONS,
)
def functional(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the MACs that a model's own code computes without a patched function."""
    return _missed(forward_pass, MissReason.FUNCTIONAL)


@PEER.deviates(
    "PT-TOTAL-ONLY",
    CauseKind.CONVENTION,
    "adds the counts of functions to the total only, not to the modules that call them",
    where="ptflops/pytorch_engine.py: get_flops_pytorch",
    versions=_VERSIONS,
)
def total_only(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of patched functions from the calling modules to the root."""
    for _, _, counted in split_missed(forward_pass):
        yield counted
        yield counted._replace(module="", amount=-counted.amount)


@PEER.deviates(
    "PT-DOUBLE",
    CauseKind.DOUBLE,
    "counts the functions that a layer calls in addition to the layer: activations, pools, Upsample, attention weights",
    where="ptflops/pytorch_ops.py: MODULES_MAPPING and FUNCTIONAL_MAPPING",
    versions=_VERSIONS,
)
def double(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the counts of functions that are called inside modules that a hook counts."""
    return in_total(emulate(forward_pass), True, claimed_macs)


@PEER.deviates(
    "PT-ELEMENTS",
    CauseKind.UNIT,
    "adds one MAC per element of an activation, pool, softmax, sum or product that is called as a function",
    where="ptflops/pytorch_ops.py: FUNCTIONAL_MAPPING, TENSOR_OPS_MAPPING",
    versions=_VERSIONS,
)
def elements(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract the counts of element-wise functions."""
    return in_total(emulate(forward_pass), False, claimed_elements)


@PEER.deviates(
    "PT-BROADCAST",
    CauseKind.BROADCAST,
    "counts a matrix product as the left operand's elements times the right one's last size, ignoring broadcasting",
    where="ptflops/pytorch_ops.py: _matmul_tensor_flops_hook",
    versions=_VERSIONS,
)
def broadcast(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the products that this formula omits; subtract those that it adds, as for a matrix times a vector."""
    return in_total(emulate(forward_pass), False, lambda call: claimed_products(call) - true_macs(call))


register_extras(PEER, EXTRAS, emulate, _VERSIONS)


@PEER.deviates(
    "PT-ALIAS",
    CauseKind.ALIAS,
    "adds the whole count of a shared module under each of its names",
    where="ptflops/pytorch_engine.py: accumulate_flops",
    versions=_VERSIONS,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Subtract what is counted more than once for a shared module."""
    return emulate(forward_pass).alias()


@PEER.deviates(
    "PT-BATCH",
    CauseKind.BATCH,
    "divides the counts of hooks, but not those of functions, by the batch size, and truncates the total",
    where="ptflops/pytorch_engine.py: compute_average_flops_cost, get_flops_pytorch",
    versions=_VERSIONS,
)
def batch(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the total before the division minus the total after it."""
    emulation = emulate(forward_pass)
    of_functions = [
        count
        for inside in (True, False)
        for call, times in patched_calls(emulation, inside=inside)
        for count in times * [claimed_macs(call)]
    ]
    whole = sum(map(Fraction, of_functions)) + Fraction(emulation.total)
    # the same float operations as in ptflops, so that the truncated total is the same
    claimed = int(emulation.total / _batch_size(forward_pass) + sum(of_functions))
    yield Contribution("", "batch", as_number(whole - claimed))


def _batch_size(forward_pass: ForwardPass) -> int:
    """Return the length of the first positional input; 1 without positional inputs."""
    first = next((call.inputs[0] for call, _ in forward_pass.by_path[""].calls if call.inputs), None)
    if isinstance(first, TensorSpec):
        return first.shape[0]
    return len(first) if isinstance(first, tuple) else 1


@PEER.deviates(
    "PT-PARAMS",
    CauseKind.PARAMETERS,
    "counts trainable parameters only: no frozen parameters, and none of quantized layers",
    where="ptflops/pytorch_engine.py: get_model_parameters_number",
    versions=_VERSIONS,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Yield the frozen parameters."""
    return frozen_parameters(forward_pass)
