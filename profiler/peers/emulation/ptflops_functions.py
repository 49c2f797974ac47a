"""What ptflops counts for each call of a function that it patches, and how many MACs the call really takes.

It counts matrix products, and one MAC per element of activations, pools, softmax, sums and element-wise products.
"""

from __future__ import annotations

from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, Any

from profiler.values.records import Shape, TensorSpec

if TYPE_CHECKING:
    from profiler.trace.call_facts import FunctionCall
    from profiler.values.findings import Number

_PRODUCTS = ("matmul", "mm", "bmm")
_SUMS = ("addmm", "baddbmm")
_BINARY = ("mul", "add")
_RESIZED = ("interpolate", "upsample")
#: Real multiply-adds in a complex one.
_REAL_PRODUCTS = 4
_FUNCTIONS = (
    "relu prelu elu relu6 gelu silu softmax upsample interpolate "
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
)
#: The names of the functions that ptflops patches.
PATCHED = frozenset(
    [f"torch.{name}" for name in (*_PRODUCTS, *_SUMS, *_BINARY)]
    + [f"torch.Tensor.{name}" for name in (*_PRODUCTS, "addmm", *_BINARY)]
    + [f"torch.nn.functional.{name}" for name in _FUNCTIONS.split()]
)


def true_macs(call: FunctionCall) -> int:
    """Return our MACs of a call: for a matrix product, the output elements times the columns of the left operand."""
    if _name(call) not in (*_PRODUCTS, *_SUMS):
        return 0
    left: TensorSpec = _argument(call, int(_name(call) in _SUMS), "mat1" if _name(call) == "addmm" else "batch1")
    return prod(_shape(call.output)) * left.shape[-1] * (_REAL_PRODUCTS if left.is_complex else 1)


def claimed_macs(call: FunctionCall) -> Number:
    """Return what ptflops counts for a call."""
    return claimed_products(call) + claimed_elements(call)


def claimed_products(call: FunctionCall) -> int:
    """Return what ptflops counts for a matrix product: the left operand's elements times the right one's last size."""
    if _name(call) in _PRODUCTS:
        left, right = call.inputs[0], _argument(call, 1, "other")
    elif _name(call) in _SUMS:
        names = ("mat1", "mat2") if _name(call) == "addmm" else ("batch1", "batch2")
        left, right = (_argument(call, i, name) for i, name in enumerate(names, 1))
    else:
        return 0
    return prod(_shape(left)) * _shape(right)[-1]


def claimed_elements(call: FunctionCall) -> Number:
    """Return what ptflops counts per element, which is everything but the matrix product."""
    name = _name(call)
    if name in _PRODUCTS:
        return 0
    if name in _SUMS:
        return prod(_shape(call.inputs[0])) * (dict(call.keywords).get("beta", 1) != 0)
    if name in _BINARY:
        return _broadcast_elements(_shape(call.inputs[0]), _shape(_argument(call, 1, "other")))
    if name in _RESIZED:
        return _resized_elements(call)
    return prod(_shape(_argument(call, 0, "input")))


def _broadcast_elements(left: Shape, right: Shape) -> int:
    """Multiply the larger of each two sizes, aligned at the first dimension: torch aligns at the last one."""
    return prod(max(pair) for pair in zip_longest(left, right, fillvalue=1))


def _resized_elements(call: FunctionCall) -> Number:
    """Multiply batch and channels by the requested size, or the input elements by the scale factors."""
    shape = _shape(_argument(call, 0, "input"))
    size, scale = _argument(call, 1, "size"), _argument(call, 2, "scale_factor")
    if size is not None:
        return prod(shape[:2]) * (prod(size) if isinstance(size, tuple) else size ** (len(shape) - 2))
    if isinstance(scale, tuple) and len(scale) == len(shape) - 2:
        return prod(shape) * prod(map(int, scale))
    elements: Number = prod(shape) * scale ** (len(shape) - 2)
    return elements


def _name(call: FunctionCall) -> str:
    return call.name.rpartition(".")[2]


def _argument(call: FunctionCall, position: int, name: str) -> Any:
    """Return an argument that was passed by position or by name."""
    return call.inputs[position] if position < len(call.inputs) else dict(call.keywords).get(name)


def _shape(value: Any) -> Shape:
    """Return the shape of a tensor, or () for a number."""
    return value.shape if isinstance(value, TensorSpec) else ()
