"""``ptflops`` with its backend ``pytorch``: hooks on modules that it knows, and functions that it replaces.

What the hooks count is added up from the modules, and divided by the batch. What the functions count is in the total
alone, for the whole batch. The model runs with gradients enabled, as its users call it.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from profiler.peers.emulation import ptflops_functions as functions
from profiler.peers.emulation.hook_based import HookCounterModel, MissReason, enter
from profiler.peers.emulation.parameters import frozen
from profiler.peers.emulation.ptflops_entry_point import complexity
from profiler.peers.emulation.ptflops_hooks import EXTRAS, HOOKS
from profiler.peers.emulation.unfuse import moved_macs, unfused
from profiler.peers.forward_pass import macs
from profiler.peers.peer import Peer, PeerResult
from profiler.values.findings import CauseKind, Contribution, Number, as_number
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.function_calls import FunctionCall

PEER = Peer(
    "ptflops",
    unit="MAC",
    distributions=("ptflops",),
    convention="MACs for one sample of the layers and functions that it knows, and an element of most others as a MAC.",
)
_SEEN = "ptflops 0.7.5"


@PEER.runs
def run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PeerResult:
    """Count one forward pass; of the modules, what ``accumulate_flops`` gives."""
    from ptflops import pytorch_engine  # noqa: PLC0415 - the peer itself

    sums: dict[nn.Module, int] = {}
    accumulate = pytorch_engine.accumulate_flops

    def noting(module: nn.Module) -> int:
        sums[module] = accumulate(module)
        return sums[module]

    pytorch_engine.accumulate_flops = noting
    total, params = complexity(model, args, kwargs, "pytorch")
    return PeerResult(total, dict(_rows(model, sums)), params)


def _rows(model: nn.Module, sums: dict[nn.Module, int], path: str = "") -> Iterator[tuple[str, int]]:
    """Name the modules that were summed up, as the walk met them."""
    for name, child in model.named_children():
        if child in sums:
            yield f"{path}{name}", sums[child]
            yield from _rows(child, sums, f"{path}{name}.")


def _hooked(forward_pass: ForwardPass) -> HookCounterModel:
    return HookCounterModel(unfused(forward_pass, hooks=True), HOOKS)


def _left_out(forward_pass: ForwardPass, reason: MissReason) -> Iterator[Contribution]:
    """Leave out what no hook counts for this reason, and no replaced function either."""
    return (missed for why, missed, _ in _missed(forward_pass) if why is reason)


@PEER.deviates(
    "PT-RULES",
    CauseKind.UNSUPPORTED_MODULE,
    "has no rule for this class of torch.nn (Bilinear …): all its work is left out",
    where="ptflops/pytorch_ops.py: MODULES_MAPPING",
    seen=_SEEN,
)
def rules(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of torch's own layers for which there is no rule."""
    return _left_out(forward_pass, MissReason.NO_RULE)


@PEER.deviates(
    "PT-SUBCLASS",
    CauseKind.SUBCLASS,
    "compares the class itself: a layer that inherits from one with a rule is left out",
    where="ptflops/pytorch_engine.py: is_supported_instance",
    seen=_SEEN,
)
def subclasses(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of modules of a class that inherits from one with a rule."""
    return _left_out(forward_pass, MissReason.SUBCLASS)


@PEER.deviates(
    "PT-BELOW",
    CauseKind.UNSUPPORTED_MODULE,
    "takes the rule of a module for all that is below: the projections of timm's Attention are lost",
    where="ptflops/pytorch_engine.py: accumulate_flops",
    seen=_SEEN,
)
def below(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs of layers below a module that has a rule."""
    return _left_out(forward_pass, MissReason.BELOW)


@PEER.deviates(
    "PT-FASTPATH",
    CauseKind.FUSED,
    "hooks the layers of an encoder layer, which therefore run one by one, where we saw one operator",
    where="ptflops/pytorch_engine.py: start_flops_count",
    seen=_SEEN,
)
def fast_path(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Move the MACs of a fused encoder layer to its layers."""
    return moved_macs(forward_pass, hooks=True)


@PEER.deviates(
    "PT-FUNCTIONAL",
    CauseKind.FUNCTIONAL,
    "replaces few functions: F.linear, F.conv2d, einsum, attention and the operator @ are left out",
    where="ptflops/pytorch_engine.py: patch_functional, patch_tensor_ops",
    seen=_SEEN,
)
def functional(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out the MACs that a model's own code computes by other means than the replaced functions."""
    return _left_out(forward_pass, MissReason.FUNCTIONAL)


@PEER.deviates(
    "PT-TOTAL-ONLY",
    CauseKind.CONVENTION,
    "adds what functions count to the total alone, not to the modules that call them",
    where="ptflops/pytorch_engine.py: get_flops_pytorch",
    seen=_SEEN,
)
def total_only(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take the MACs of replaced functions from their modules, and give them to the whole."""
    for _, _, counted in _missed(forward_pass):
        yield counted
        yield counted._replace(module="", amount=-counted.amount)


def _missed(forward_pass: ForwardPass) -> Iterator[tuple[MissReason, Contribution, Contribution]]:
    """Split the MACs that no hook counts into those that no function counts either, and those that one does."""
    hooked = _hooked(forward_pass)
    known: Counter[str] = Counter()
    for call, times in _calls(hooked, inside=False):
        known[call.module] += times * functions.macs(call)
    for why, entry in hooked.missed():
        for contribution in macs((entry,)):
            part = min(int(contribution.amount), known[contribution.module])
            known[contribution.module] -= part
            yield why, contribution._replace(amount=contribution.amount - part), contribution._replace(amount=part)


def _calls(hooked: HookCounterModel, *, inside: bool) -> Iterator[tuple[FunctionCall, int]]:
    """Yield the calls of replaced functions, made inside of modules that a hook counts or outside."""
    for call, times in (row for facts in hooked.forward_pass.facts for row in facts.function_calls):
        if call.name in functions.REPLACED and hooked.inside(call.module) == inside:
            yield call, times


def _in_total(
    hooked: HookCounterModel, inside: bool, amount: Callable[[FunctionCall], Number]
) -> Iterator[Contribution]:
    """Share out what calls of replaced functions add to the total: at the root, since no module has it."""
    return (Contribution("", call.name, -times * amount(call)) for call, times in _calls(hooked, inside=inside))


@PEER.deviates(
    "PT-DOUBLE",
    CauseKind.DOUBLE,
    "counts the functions that a layer calls, besides the layer: activations, pools, Upsample, attention with weights",
    where="ptflops/pytorch_ops.py: MODULES_MAPPING and FUNCTIONAL_MAPPING",
    seen=_SEEN,
)
def double(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off what functions count inside of modules that a hook has counted."""
    return _in_total(_hooked(forward_pass), True, functions.counted)


@PEER.deviates(
    "PT-ELEMENTS",
    CauseKind.UNIT,
    "adds each element of an activation, pool, softmax, sum or product that is called as a function to the MACs",
    where="ptflops/pytorch_ops.py: FUNCTIONAL_MAPPING, TENSOR_OPS_MAPPING",
    seen=_SEEN,
)
def elements(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off what element-wise functions count."""
    return _in_total(_hooked(forward_pass), False, functions.elements)


@PEER.deviates(
    "PT-BROADCAST",
    CauseKind.BROADCAST,
    "counts a matrix product by its left operand's elements and its right one's last length, whatever is broadcast",
    where="ptflops/pytorch_ops.py: _matmul_tensor_flops_hook",
    seen=_SEEN,
)
def broadcast(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the products that this leaves out; take off those that it invents, as for a matrix by a vector."""
    return _in_total(_hooked(forward_pass), False, lambda call: functions.products(call) - functions.macs(call))


enter(PEER, EXTRAS, _hooked, _SEEN)


@PEER.deviates(
    "PT-ALIAS",
    CauseKind.ALIAS,
    "adds all that a module with several names counted at every one of them",
    where="ptflops/pytorch_engine.py: accumulate_flops",
    seen=_SEEN,
)
def alias(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Take off what a shared module is counted more than once."""
    return _hooked(forward_pass).alias()


@PEER.deviates(
    "PT-BATCH",
    CauseKind.BATCH,
    "divides what the hooks count by the batch, not what the functions count, and cuts the total off to an integer",
    where="ptflops/pytorch_engine.py: compute_average_flops_cost, get_flops_pytorch",
    seen=_SEEN,
)
def batch(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Add the other samples of the batch."""
    hooked = _hooked(forward_pass)
    of_functions = [
        c for i in (True, False) for call, n in _calls(hooked, inside=i) for c in n * [functions.counted(call)]
    ]
    whole = sum(map(Fraction, of_functions)) + Fraction(hooked.sum)
    said = int(hooked.sum / _batch(forward_pass) + sum(of_functions))
    yield Contribution("", "batch", as_number(whole - said))


def _batch(forward_pass: ForwardPass) -> int:
    """Give the length of the first positional input, or 1 without any."""
    first = next((visit.inputs[0] for visit, _ in forward_pass.by_path[""].calls if visit.inputs), None)
    if isinstance(first, TensorSpec):
        return first.shape[0]
    return len(first) if isinstance(first, tuple) else 1


@PEER.deviates(
    "PT-PARAMS",
    CauseKind.PARAMETERS,
    "counts trainable parameters alone: not frozen ones, nor those of quantized layers",
    where="ptflops/pytorch_engine.py: get_model_parameters_number",
    seen=_SEEN,
    quantity="params",
)
def params(forward_pass: ForwardPass) -> Iterator[Contribution]:
    """Leave out what is frozen."""
    return frozen(forward_pass)
