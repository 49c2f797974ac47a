"""calflops: multiply-adds of the functions that it replaces, each called by its name while a module is running.

It replaces ``F.linear``, the convolutions, ``torch.matmul``, ``addmm`` and ``baddbmm``; an operator that is called any
other way (``@``, ``bmm``, einsum, attention in one kernel) adds nothing. It is asked without gradients, like the rest.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.claims import Kind, Share, is_under
from profiler.peers.hooks import Hooked
from profiler.peers.peer import Answer, Peer
from profiler.records import TensorSpec
from profiler.tally.tally import price

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from profiler.peers.scene import Scene
    from profiler.records import Shape
    from profiler.trace.names import NamedCall
    from profiler.trace.whole import Whole

PEER = Peer(
    "calflops",
    unit="MAC",
    distributions=("calflops",),
    convention="Multiply-adds of the functions of torch that it replaces, where a model calls them by these names.",
    install="pip install 'profiler[peers]'",
)
_SEEN = "0.3.2"
_OPS = "calflops/pytorch_ops.py: "
_LAYER, _ATTENTION = "aten._transformer_encoder_layer_fwd", "aten._native_multi_head_attention"
#: What torch's own attention and encoder layers call by a name that is replaced.
_BELOW = frozenset({"aten.linear", "aten.baddbmm"})


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


class _Call(NamedTuple):
    """What calflops says of a call that it sees, and what it is."""

    module: str
    name: str
    claimed: int
    macs: int


def _calls(scene: Scene) -> Iterator[_Call]:
    """List the calls that are seen, those inside of fused operators too."""
    for facts in scene.facts:
        for call, times in facts.named:
            counted = _COUNTED.get(call.name)
            if counted is not None:
                claimed, macs = counted(call)
                factor = 4 if isinstance(call.output, TensorSpec) and call.output.is_complex else 1
                yield _Call(call.module, call.name, times * claimed, times * macs * factor)
    for whole in _below(scene, _fused(scene)):
        macs = sum(part.calls * price(part).macs for part in whole.parts)
        if whole.record.packet in _BELOW:
            yield _Call(whole.record.module, whole.record.packet, whole.record.calls * macs, whole.record.calls * macs)


def _fused(scene: Scene) -> set[str]:
    """Give the modules that ran as one operator, and do not with gradients and hooks."""
    trainable = any(held.trainable for facts in scene.facts for held in facts.params)
    fused = {_LAYER, _ATTENTION} if trainable else {_LAYER}
    return {entry.record.module for entry in scene.entries if entry.record.packet in fused}


def _below(scene: Scene, tops: set[str]) -> Iterator[Whole]:
    """List the operators that Python calls in such modules where they are not fused."""
    wholes = (whole for facts in scene.facts for whole in facts.wholes)
    return (whole for whole in wholes if any(is_under(whole.record.module, top) for top in tops))


def _argument(call: NamedCall, position: int, name: str, default: Any = None) -> Any:
    return call.inputs[position] if len(call.inputs) > position else dict(call.keywords).get(name, default)


def _shapes(call: NamedCall, *names: str) -> list[Shape]:
    return [_argument(call, i, name).shape for i, name in enumerate(names)]


def _linear(call: NamedCall) -> tuple[int, int]:
    inputs, weight = _shapes(call, "input", "weight")
    return (prod(inputs) * weight[0],) * 2


def _convolution(call: NamedCall) -> tuple[int, int]:
    """Take the output's size from the arguments, half of what a padding by name needs on each side."""
    inputs, weight = _shapes(call, "input", "weight")
    kernel, n = weight[2:], len(weight) - 2
    stride, padding, dilation = (
        _argument(call, i, name, default)
        for i, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    steps, spread = _each(stride, n), _each(dilation, n)
    pads = _each(padding, n)
    if isinstance(padding, str):
        pads = tuple(d * (k - 1) // 2 * (padding == "same") for d, k in zip(spread, kernel, strict=True))
    grid = [
        (size + 2 * p - (d * (k - 1) + 1)) // s + 1
        for size, p, d, k, s in zip(inputs[2:], pads, spread, kernel, steps, strict=True)
    ]
    output = call.output
    assert isinstance(output, TensorSpec)  # noqa: S101 - a convolution gives one
    groups = _argument(call, 6, "groups", 1)
    claimed = prod(kernel) * inputs[1] * (weight[0] // groups) * inputs[0] * prod(grid)
    return claimed, prod(output.shape) * prod(weight[1:])


def _transposed(call: NamedCall) -> tuple[int, int]:
    """Take the channels of a group for those of all, and divide them by the groups again."""
    inputs, weight = _shapes(call, "input", "weight")
    groups = _argument(call, 6, "groups", 1)
    claimed = prod(weight[2:]) * inputs[1] * (weight[1] // groups) * inputs[0] * prod(inputs[2:])
    return claimed, prod(inputs) * prod(weight[1:])


def _matmul(call: NamedCall) -> tuple[int, int]:
    """Take the first operand's elements times the last dimension of the second."""
    left, right = _shapes(call, "input", "other")
    output = call.output
    assert isinstance(output, TensorSpec)  # noqa: S101 - a product gives one
    return prod(left) * right[-1], prod(output.shape) * left[-1]


def _added(call: NamedCall) -> tuple[int, int]:
    _, left, right = _shapes(call, "input", "mat1", "mat2")
    return (prod(left) * right[-1],) * 2


def _each(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n


_COUNTED: dict[str, Callable[[NamedCall], tuple[int, int]]] = {
    "torch.nn.functional.linear": _linear,
    **{f"torch.nn.functional.conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"torch.nn.functional.conv_transpose{n}d": _transposed for n in (1, 2, 3)},
    **dict.fromkeys(("torch.matmul", "torch.Tensor.matmul"), _matmul),
    **dict.fromkeys(("torch.addmm", "torch.Tensor.addmm", "torch.baddbmm"), _added),
}


def _wrong(code: str, kind: Kind, why: str, where: str, names: str) -> None:
    """Register what calls of the functions with one of *names* in theirs are wrong by."""

    def rule(scene: Scene) -> Iterator[Share]:
        for call in _calls(scene):
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
    tops = _fused(scene)
    for entry in scene.entries:
        if not any(is_under(entry.record.module, top) for top in tops):
            yield _Ran(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in _below(scene, tops):
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
        for call in _calls(scene):
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
    tops = _fused(scene)
    for entry in scene.entries:
        if any(is_under(entry.record.module, top) for top in tops):
            yield Share(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for whole in _below(scene, tops):
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
    for call in _calls(scene):
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
