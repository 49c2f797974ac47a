"""What calflops counts for each call of a function that it patches, and how many MACs the call really takes.

Source: calflops/pytorch_ops.py.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from profiler.peers.forward_pass import composite_macs
from profiler.tally.tally import cost_record
from profiler.values.findings import is_under
from profiler.values.records import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.peers.forward_pass import ForwardPass
    from profiler.trace.call_facts import FunctionCall
    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import Shape

_LAYER, _ATTENTION = "aten._transformer_encoder_layer_fwd", "aten._native_multi_head_attention"
#: The operators of the patched functions that torch's attention and encoder layers call.
_PATCHED_INSIDE = frozenset({"aten.linear", "aten.baddbmm"})


class PatchedCall(NamedTuple):
    """All equal calls of a patched function in a module: what calflops counts for them, and our MACs."""

    module: str
    name: str
    claimed: int
    macs: int


class OperatorMacs(NamedTuple):
    """MACs of an operator in a module, as the model runs with gradients enabled."""

    module: str
    operator: str
    macs: int


def patched_calls(forward_pass: ForwardPass) -> Iterator[PatchedCall]:
    """Yield the calls that calflops sees, including those inside fused operators, which run unfused under calflops."""
    for facts in forward_pass.facts:
        for call, times in facts.function_calls:
            formula = _FORMULAS.get(call.name)
            if formula is not None:
                claimed, macs = formula(call)
                factor = 4 if isinstance(call.output, TensorSpec) and call.output.is_complex else 1
                yield PatchedCall(call.module, call.name, times * claimed, times * macs * factor)
    for inner in calls_inside(forward_pass, fused_modules(forward_pass)):
        if inner.record.packet in _PATCHED_INSIDE:
            macs = inner.record.calls * composite_macs(inner)
            yield PatchedCall(inner.record.module, inner.record.packet, macs, macs)


def operator_macs(forward_pass: ForwardPass) -> Iterator[OperatorMacs]:
    """Yield the MACs of each operator, with fused operators replaced by those that run with gradients enabled."""
    fused = fused_modules(forward_pass)
    for entry in forward_pass.entries:
        if not any(is_under(entry.record.module, top) for top in fused):
            yield OperatorMacs(entry.record.module, entry.record.packet, entry.record.calls * entry.macs)
    for call in calls_inside(forward_pass, fused):
        for part in call.parts:
            macs = call.record.calls * part.calls * cost_record(part).macs
            yield OperatorMacs(call.record.module, part.packet, macs)


def fused_modules(forward_pass: ForwardPass) -> set[str]:
    """Return the paths of modules that ran as one operator in our run, but not with gradients enabled and hooks set."""
    trainable = any(param.trainable for facts in forward_pass.facts for param in facts.params)
    operators = {_LAYER, _ATTENTION} if trainable else {_LAYER}
    return {entry.record.module for entry in forward_pass.entries if entry.record.packet in operators}


def calls_inside(forward_pass: ForwardPass, fused: set[str]) -> Iterator[CompositeCall]:
    """Yield the operators that Python calls inside *fused* modules when they run unfused."""
    return (c for c in forward_pass.composite_calls if any(is_under(c.record.module, top) for top in fused))


def _argument(call: FunctionCall, position: int, name: str, default: Any = None) -> Any:
    return call.inputs[position] if len(call.inputs) > position else dict(call.keywords).get(name, default)


def _shapes(call: FunctionCall, *names: str) -> list[Shape]:
    return [_argument(call, i, name).shape for i, name in enumerate(names)]


def _linear(call: FunctionCall) -> tuple[int, int]:
    inputs, weight = _shapes(call, "input", "weight")
    return (prod(inputs) * weight[0],) * 2


def _convolution(call: FunctionCall) -> tuple[int, int]:
    """Compute the output size from the arguments; "same" padding is half of the kernel, rounded down, on each side."""
    inputs, weight = _shapes(call, "input", "weight")
    kernel, n = weight[2:], len(weight) - 2
    stride, padding, dilation = (
        _argument(call, i, name, default)
        for i, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    strides, dilations, pads = _repeat(stride, n), _repeat(dilation, n), _repeat(padding, n)
    if isinstance(padding, str):
        pads = tuple(d * (k - 1) // 2 * (padding == "same") for d, k in zip(dilations, kernel, strict=True))
    grid = [
        (size + 2 * p - (d * (k - 1) + 1)) // s + 1
        for size, p, d, k, s in zip(inputs[2:], pads, dilations, kernel, strides, strict=True)
    ]
    output = call.output
    assert isinstance(output, TensorSpec)  # noqa: S101 - a convolution returns one
    groups = _argument(call, 6, "groups", 1)
    claimed = prod(kernel) * inputs[1] * (weight[0] // groups) * inputs[0] * prod(grid)
    return claimed, prod(output.shape) * prod(weight[1:])


def _transposed_convolution(call: FunctionCall) -> tuple[int, int]:
    """Take the channels of one group as those of all groups, and divide them by the groups again."""
    inputs, weight = _shapes(call, "input", "weight")
    groups = _argument(call, 6, "groups", 1)
    claimed = prod(weight[2:]) * inputs[1] * (weight[1] // groups) * inputs[0] * prod(inputs[2:])
    return claimed, prod(inputs) * prod(weight[1:])


def _matmul(call: FunctionCall) -> tuple[int, int]:
    """Multiply the elements of the first operand by the last size of the second."""
    left, right = _shapes(call, "input", "other")
    output = call.output
    assert isinstance(output, TensorSpec)  # noqa: S101 - a product returns one
    return prod(left) * right[-1], prod(output.shape) * left[-1]


def _addmm(call: FunctionCall) -> tuple[int, int]:
    _, left, right = _shapes(call, "input", "mat1", "mat2")
    return (prod(left) * right[-1],) * 2


def _repeat(value: Any, n: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * n


#: For each patched function: what calflops counts for a call, and its real MACs if the numbers are real.
_FORMULAS: dict[str, Callable[[FunctionCall], tuple[int, int]]] = {
    "torch.nn.functional.linear": _linear,
    **{f"torch.nn.functional.conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"torch.nn.functional.conv_transpose{n}d": _transposed_convolution for n in (1, 2, 3)},
    **dict.fromkeys(("torch.matmul", "torch.Tensor.matmul"), _matmul),
    **dict.fromkeys(("torch.addmm", "torch.Tensor.addmm", "torch.baddbmm"), _addmm),
}
