"""Count pointwise operators, whose result elements each depend only on the operand elements at the same position.

One rule counts all of them: the elements of the broadcast result times the operations per element. A basic operation
(add, compare, negate, floor, logical and bitwise operations, the greatest common divisor …) is one FLOP, and a
function (exp, sin, erf, a Bessel function …) one transcendental. Operators that compute something else have an
expression in a table. A number is one element, whether real, complex, integer or Boolean.

A ``_foreach_`` operator counts as its pointwise operator on each tensor of the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profiler.formulas import registry
from profiler.formulas.element_counts import numel
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import Operations, operations
from profiler.values.records import Cost, OpRecord, TensorSpec, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch._ops import OpOverload

    from profiler.values.records import Value

_CLAMP = "max(x, MIN) if MAX is None else min(x, MAX) if MIN is None else min(max(x, MIN), MAX)"
_FAKE_QUANTIZE = "(min(max(round(x / SCALE) + ZERO_POINT, QUANT_MIN), QUANT_MAX) - ZERO_POINT) * SCALE"

#: Expressions of operators that are not a single operation, per element of the result; by operator.
ARITHMETIC: Mapping[str, str] = {
    "_add_relu": "max(x + ALPHA * y, 0)",
    "_fake_quantize_learnable_per_channel_affine": _FAKE_QUANTIZE,
    "_fake_quantize_learnable_per_tensor_affine": _FAKE_QUANTIZE,
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": _FAKE_QUANTIZE,
    "add": "x + ALPHA * y",
    "addcdiv": "x + VALUE * a / b",
    "addcmul": "x + VALUE * a * b",
    "bartlett_window": "1 - abs(n * (2 / WINDOW_LENGTH) - 1)",
    "blackman_window": "0.42 - 0.5 * cos(n * (2 * PI / WINDOW_LENGTH)) + 0.08 * cos(n * (4 * PI / WINDOW_LENGTH))",
    "clamp": _CLAMP,
    "clip": _CLAMP,
    "clone": "x",
    "dequantize": "(x - zero_point) * scale",
    "div": "x / y if ROUNDING_MODE is None else floor(x / y)",
    "fake_quantize_per_channel_affine_cachemask": _FAKE_QUANTIZE,
    "fake_quantize_per_tensor_affine_cachemask": _FAKE_QUANTIZE,
    "floor_divide": "floor(x / y)",
    "hamming_window": "0.54 - 0.46 * cos(n * (2 * PI / WINDOW_LENGTH))",
    "hann_window": "0.5 - 0.5 * cos(n * (2 * PI / WINDOW_LENGTH))",
    "hypot": "sqrt(x * x + y * y)",
    "kaiser_window": "i0(BETA * sqrt(1 - (t := n * (2 / WINDOW_LENGTH) - 1) * t)) / i0(BETA)",
    "lerp": "x + w * (y - x)",
    "logaddexp": "log(exp(x) + exp(y))",
    "logaddexp2": "log2(exp2(x) + exp2(y))",
    "logit": "log(x / (1 - x)) if EPS is None else log((z := min(max(x, EPS), 1 - EPS)) / (1 - z))",
    "logit_backward": "grad / (x * (1 - x))",
    "nan_to_num": "where(x != x, NAN, where(x == INF, POSINF, where(x == -INF, NEGINF, x)))",
    "polar": "r * cos(angle), r * sin(angle)",
    "positive": "x",
    "pow": "x ** EXPONENT",
    "quantize_per_channel": "min(max(round(x / scale) + zero_point, QMIN), QMAX)",
    "quantize_per_tensor": "min(max(round(x / SCALE) + ZERO_POINT, QMIN), QMAX)",
    "rsub": "y - ALPHA * x",
    "sinc": "where(x == 0, 1, sin(t := PI * x) / t)",
    "special_entr": "where(x > 0, -x * log(x), where(x == 0, 0, -INF))",
    "special_xlog1py": "where(x == 0, 0, x * log1p(y))",
    "square": "x * x",
    "sub": "x - ALPHA * y",
    "xlogy": "where(x == 0, 0, x * log(y))",
}
EXPRESSIONS: Mapping[str, str] = {**ACTIVATIONS, **ARITHMETIC}

#: Functions that count as one transcendental, like every ``special_`` function without an expression.
TRANSCENDENTAL = frozenset("""
    _dirichlet_grad _standard_gamma_grad acos acosh angle asin asinh atan atan2 atanh cos cosh digamma erf erfc erfinv
    exp exp2 expm1 float_power i0 igamma igammac lgamma log log10 log1p log2 polygamma rsqrt sin sinh sqrt tan tanh
""".split())  # fmt: skip

#: Other pointwise operators that lack ``torch.Tag.pointwise`` on some overload in some version of torch.
_UNTAGGED = frozenset("""
    __and__ __ilshift__ __irshift__ __lshift__ __or__ __rshift__ __xor__ abs bitwise_and bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor copysign div eq gcd ge gt heaviside isinf isnan lcm le lt maximum minimum mul ne neg
    reciprocal remainder round sign trunc
""".split())  # fmt: skip
#: Pointwise operators by name; more are recognised by ``torch.Tag.pointwise``.
LISTED = TRANSCENDENTAL | _UNTAGGED | EXPRESSIONS.keys()
_FOREACH = "_foreach_"


def is_pointwise(operator: str) -> bool:
    """Return whether an ``aten`` operator is pointwise, according to the tables here or to torch's tag."""
    library, name, overload = _split(operator)
    if library != "aten":
        return False
    if name.startswith(_FOREACH):
        return is_pointwise(f"aten.{name.removeprefix(_FOREACH)}")
    return name in LISTED or any(torch.Tag.pointwise in form.tags for form in _overloads(name, overload))


def cost(record: OpRecord) -> Cost:
    """Count the operations per element times the elements of the result."""
    _, name, _ = _split(record.operator)
    calls = _foreach_calls(record) if name.startswith(_FOREACH) else [_single_call(record)]
    counts = [(numel(result), _per_element(name.removeprefix(_FOREACH), args)) for result, args in calls]
    return Cost(
        other_flops=sum(elements * each.flops for elements, each in counts),
        transcendentals=sum(elements * each.transcendentals for elements, each in counts),
    )


@formula("aten::conj_physical", "aten::conj_physical_")
def conj_physical(self: TensorSpec, out: TensorSpec) -> Cost:
    """Count a negation per complex number; real numbers are copied."""
    return Cost(other_flops=numel(out) if self.is_complex else 0)


@formula("aten::mvlgamma")
def mvlgamma(p: int, out: TensorSpec) -> Cost:
    """Count ``Σᵢ lgamma(x − i/2) + c`` for i < p: p − 1 subtractions, p − 1 adds, and the add of the constant."""
    return Cost(other_flops=numel(out) * (2 * (p - 1) + 1), transcendentals=numel(out) * p)


def _split(operator: str) -> tuple[str, str, str]:
    """Split the name of an operator into library, functional name and overload."""
    library, _, rest = operator.partition(".")
    name, _, overload = rest.partition(".")
    return library, name if name.endswith("__") else name.removesuffix("_"), overload


def _overloads(name: str, overload: str) -> list[OpOverload]:
    """Return the operator and its in-place form, where they exist."""
    return [op for form in (name, f"{name}_") for op in registry.overloads(f"aten.{form}.{overload}")]


def _per_element(name: str, arguments: Mapping[str, Value]) -> Operations:
    expression = EXPRESSIONS.get(name)
    if expression is not None:
        return operations(expression, arguments)
    special = name in TRANSCENDENTAL or name.startswith("special_")
    return Operations(0, 1) if special else Operations(1, 0)


def _single_call(record: OpRecord) -> tuple[TensorSpec, dict[str, Value]]:
    return tensors(record.results)[0], dict(record.arguments)


def _foreach_calls(record: OpRecord) -> Iterator[tuple[TensorSpec, dict[str, Value]]]:
    """Split a call on lists into calls on tensors; an in-place operator returns nothing, so its first list is used."""
    results = tensors(record.results) or tensors(record.arguments[0][1])
    for i, result in enumerate(results):
        arguments = {name: value[i] if type(value) is tuple and value else value for name, value in record.arguments}
        yield result, {"alpha": 1, "value": arguments.get("scalars")} | arguments
