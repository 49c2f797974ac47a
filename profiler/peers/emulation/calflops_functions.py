"""The calls of functions that calflops replaces: what it says of each, and what the call is."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.tally.tally import cost_record
from profiler.values.findings import is_under
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.composite_calls import CompositeCall
    from profiler.trace.function_calls import FunctionCall
    from profiler.values.records import Shape

_LAYER, _ATTENTION = "aten._transformer_encoder_layer_fwd", "aten._native_multi_head_attention"
#: What torch's own attention and encoder layers call by a name that is replaced.
_NAMED = frozenset({"aten.linear", "aten.baddbmm"})


class Call(NamedTuple):
    """What calflops says of a call that it sees, and what it is."""

    module: str
    name: str
    claimed: int
    macs: int


def calls(forward_pass: ForwardPass) -> Iterator[Call]:
    """List the calls that are seen, those inside of fused operators too."""
    for facts in forward_pass.facts:
        for call, times in facts.function_calls:
            counted = _COUNTED.get(call.name)
            if counted is not None:
                claimed, macs = counted(call)
                factor = 4 if isinstance(call.output, TensorSpec) and call.output.is_complex else 1
                yield Call(call.module, call.name, times * claimed, times * macs * factor)
    for whole in below(forward_pass, fused(forward_pass)):
        macs = sum(part.calls * cost_record(part).macs for part in whole.parts)
        if whole.record.packet in _NAMED:
            yield Call(whole.record.module, whole.record.packet, whole.record.calls * macs, whole.record.calls * macs)


def fused(forward_pass: ForwardPass) -> set[str]:
    """Give the modules that ran as one operator, and do not with gradients and hooks."""
    trainable = any(held.trainable for facts in forward_pass.facts for held in facts.params)
    operators = {_LAYER, _ATTENTION} if trainable else {_LAYER}
    return {entry.record.module for entry in forward_pass.entries if entry.record.packet in operators}


def below(forward_pass: ForwardPass, tops: set[str]) -> Iterator[CompositeCall]:
    """List the operators that Python calls in such modules where they are not fused."""
    composite_calls = (whole for facts in forward_pass.facts for whole in facts.composite_calls)
    return (whole for whole in composite_calls if any(is_under(whole.record.module, top) for top in tops))


def _argument(call: FunctionCall, position: int, name: str, default: Any = None) -> Any:
    return call.inputs[position] if len(call.inputs) > position else dict(call.keywords).get(name, default)


def _shapes(call: FunctionCall, *names: str) -> list[Shape]:
    return [_argument(call, i, name).shape for i, name in enumerate(names)]


def _linear(call: FunctionCall) -> tuple[int, int]:
    inputs, weight = _shapes(call, "input", "weight")
    return (prod(inputs) * weight[0],) * 2


def _convolution(call: FunctionCall) -> tuple[int, int]:
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


def _transposed(call: FunctionCall) -> tuple[int, int]:
    """Take the channels of a group for those of all, and divide them by the groups again."""
    inputs, weight = _shapes(call, "input", "weight")
    groups = _argument(call, 6, "groups", 1)
    claimed = prod(weight[2:]) * inputs[1] * (weight[1] // groups) * inputs[0] * prod(inputs[2:])
    return claimed, prod(inputs) * prod(weight[1:])


def _matmul(call: FunctionCall) -> tuple[int, int]:
    """Take the first operand's elements times the last dimension of the second."""
    left, right = _shapes(call, "input", "other")
    output = call.output
    assert isinstance(output, TensorSpec)  # noqa: S101 - a product gives one
    return prod(left) * right[-1], prod(output.shape) * left[-1]


def _added(call: FunctionCall) -> tuple[int, int]:
    _, left, right = _shapes(call, "input", "mat1", "mat2")
    return (prod(left) * right[-1],) * 2


def _each(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n


_COUNTED: dict[str, Callable[[FunctionCall], tuple[int, int]]] = {
    "torch.nn.functional.linear": _linear,
    **{f"torch.nn.functional.conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"torch.nn.functional.conv_transpose{n}d": _transposed for n in (1, 2, 3)},
    **dict.fromkeys(("torch.matmul", "torch.Tensor.matmul"), _matmul),
    **dict.fromkeys(("torch.addmm", "torch.Tensor.addmm", "torch.baddbmm"), _added),
}
