"""What ptflops counts at each call of a function that it replaces, and how many MACs the call takes.

It counts matrix products, and elements of activations, pools, softmax, sums and products: an element as a MAC.
"""

from __future__ import annotations

from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.values.records import Shape, TensorSpec

if TYPE_CHECKING:
    from profiler.trace.function_calls import FunctionCall
    from profiler.values.findings import Number

_PRODUCTS = ("matmul", "mm", "bmm")
_SUMS = ("addmm", "baddbmm")
_BINARY = ("mul", "add")
_RESIZED = ("interpolate", "upsample")
_COMPLEX = 4
_FUNCTIONS = (
    "relu prelu elu relu6 gelu silu softmax upsample interpolate "
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
)
#: The names that ptflops replaces.
REPLACED = frozenset(
    [f"torch.{name}" for name in (*_PRODUCTS, *_SUMS, *_BINARY)]
    + [f"torch.Tensor.{name}" for name in (*_PRODUCTS, "addmm", *_BINARY)]
    + [f"torch.nn.functional.{name}" for name in _FUNCTIONS.split()]
)


def macs(call: FunctionCall) -> int:
    """Count the MACs of a call: those of a matrix product, whose sums are as long as a row of its left operand."""
    if _name(call) not in (*_PRODUCTS, *_SUMS):
        return 0
    left: TensorSpec = _argument(call, int(_name(call) in _SUMS), "mat1" if _name(call) == "addmm" else "batch1")
    return prod(_shape(call.output)) * left.shape[-1] * (_COMPLEX if left.is_complex else 1)


def counted(call: FunctionCall) -> Number:
    """Say what ptflops counts."""
    return products(call) + elements(call)


def products(call: FunctionCall) -> int:
    """Say what it takes for the MACs of a product: the left operand's elements, by the right one's last length."""
    if _name(call) in _PRODUCTS:
        left, right = call.inputs[0], _argument(call, 1, "other")
    elif _name(call) in _SUMS:
        names = ("mat1", "mat2") if _name(call) == "addmm" else ("batch1", "batch2")
        left, right = (_argument(call, i, name) for i, name in enumerate(names, 1))
    else:
        return 0
    return prod(_shape(left)) * _shape(right)[-1]


def elements(call: FunctionCall) -> Number:
    """Say what it counts by elements."""
    name = _name(call)
    if name in _PRODUCTS:
        return 0
    if name in _SUMS:
        return prod(_shape(call.inputs[0])) * (dict(call.keywords).get("beta", 1) != 0)
    if name in _BINARY:
        return _broadcast(_shape(call.inputs[0]), _shape(_argument(call, 1, "other")))
    if name in _RESIZED:
        return _resized(call)
    return prod(_shape(_argument(call, 0, "input")))


def _broadcast(left: Shape, right: Shape) -> int:
    """Multiply the greater of each two lengths, from the front: only shapes of as many dimensions fit so."""
    return prod(max(pair) for pair in zip_longest(left, right, fillvalue=1))


def _resized(call: FunctionCall) -> Number:
    """Multiply samples and channels by the size that is asked for, or the elements by the scale."""
    shape = _shape(_argument(call, 0, "input"))
    size, scale = _argument(call, 1, "size"), _argument(call, 2, "scale_factor")
    if size is not None:
        return prod(shape[:2]) * (prod(size) if isinstance(size, tuple) else size ** (len(shape) - 2))
    if isinstance(scale, tuple) and len(scale) == len(shape) - 2:
        return prod(shape) * prod(map(int, scale))
    factor: Number = prod(shape) * scale ** (len(shape) - 2)
    return factor


def _name(call: FunctionCall) -> str:
    return call.name.rpartition(".")[2]


def _argument(call: FunctionCall, position: int, name: str) -> Any:
    """Give an argument, however it was passed."""
    return call.inputs[position] if position < len(call.inputs) else dict(call.keywords).get(name)


def _shape(value: Any) -> Shape:
    """Give the shape of a tensor; a number has none."""
    return value.shape if isinstance(value, TensorSpec) else ()
