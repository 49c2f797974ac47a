"""Expressions of activations, dropout and their derivatives, per element.

Forward expressions are the definitions in torch's documentation, backward expressions their derivatives. ``grad`` is
the gradient of the result, ``y`` the result. ``scalar_expressions.py`` defines how an expression is counted;
``pointwise.py`` counts operators by this table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from profiler.formulas.element_counts import numel
from profiler.formulas.registry import formula
from profiler.formulas.scalar_expressions import operations
from profiler.values.records import Cost, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Expression per element of the result, by operator. Source: https://docs.pytorch.org/docs/stable/nn.html
ACTIVATIONS: Mapping[str, str] = {
    "_prelu_kernel": "where(x > 0, x, w * x)",
    "celu": "where(x > 0, x, ALPHA * (exp(x / ALPHA) - 1))",
    "elu": "where(x > 0, SCALE * x, SCALE * ALPHA * (exp(INPUT_SCALE * x) - 1))",
    "gelu": """
        0.5 * x * (1 + tanh(sqrt(2 / PI) * (x + 0.044715 * x * x * x))) if APPROXIMATE == "tanh"
        else 0.5 * x * (1 + erf(sqrt(0.5) * x))""",
    "glu": "x / (1 + exp(-gate))",
    "hardshrink": "where(abs(x) > LAMBD, x, 0)",
    "hardsigmoid": "min(max(x + 3, 0), 6) / 6",
    "hardswish": "x * min(max(x + 3, 0), 6) / 6",
    "hardtanh": "min(max(x, MIN_VAL), MAX_VAL)",
    "leaky_relu": "where(x > 0, x, NEGATIVE_SLOPE * x)",
    "log_sigmoid_forward": "-log(1 + exp(-x))",
    "mish": "x * tanh(log(1 + exp(x)))",
    "relu": "max(x, 0)",
    "relu6": "min(max(x, 0), 6)",
    "rrelu": "where(x > 0, x, noise * x)",
    "rrelu_with_noise": "where(x > 0, x, noise * x)",
    "rrelu_with_noise_functional": "where(x > 0, x, noise * x)",
    "selu": "where(x > 0, 1.0507009873554805 * x, 1.7580993408473766 * (exp(x) - 1))",
    "sigmoid": "1 / (1 + exp(-x))",
    "silu": "x / (1 + exp(-x))",
    "softplus": "where((t := BETA * x) > THRESHOLD, x, log(1 + exp(t)) / BETA)",
    "softshrink": "where(x > LAMBD, x - LAMBD, where(x < -LAMBD, x + LAMBD, 0))",
    "threshold": "where(x > THRESHOLD, x, VALUE)",
    # Drawing a random number is not counted; comparing it with P, masking and scaling are.
    "native_dropout": "x if TRAIN is False else x * (drawn < 1 - P) / (1 - P)",
    "_fused_dropout": "x * (drawn < P) / P",
    "_masked_scale": "x * mask * SCALE",
    "_prelu_kernel_backward": "where(positive := x > 0, grad, w * grad), where(positive, 0, x * grad)",
    "elu_backward": """
        where(y > 0, SCALE * grad, INPUT_SCALE * grad * (y + SCALE * ALPHA)) if IS_RESULT
        else where(x > 0, SCALE * grad, SCALE * ALPHA * INPUT_SCALE * grad * exp(INPUT_SCALE * x))""",
    "gelu_backward": """
        (t := tanh(sqrt(2 / PI) * (x + 0.044715 * x * (square := x * x))),
         grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (sqrt(2 / PI) + sqrt(2 / PI) * 0.134145 * square)))
        if APPROXIMATE == "tanh"
        else grad * (0.5 * (1 + erf(sqrt(0.5) * x)) + x * exp(-0.5 * x * x) / sqrt(2 * PI))""",
    "hardshrink_backward": "where(abs(x) > LAMBD, grad, 0)",
    "hardsigmoid_backward": "where(x > -3, where(x < 3, grad / 6, 0), 0)",
    "hardswish_backward": "where(x > -3, where(x < 3, grad * (x / 3 + 0.5), grad), 0)",
    "hardtanh_backward": "where(x > MIN_VAL, where(x < MAX_VAL, grad, 0), 0)",
    "leaky_relu_backward": "where(x > 0, grad, NEGATIVE_SLOPE * grad)",
    "log_sigmoid_backward": "grad / (1 + exp(x))",
    "mish_backward": """
        (z := exp(x), t := tanh(log(w := 1 + z)),
         grad * (t + x * (1 - t * t) * (z / w)))""",
    "native_dropout_backward": "grad * mask * SCALE",
    "rrelu_with_noise_backward": "grad * noise if TRAINING else where(x > 0, grad, (LOWER + UPPER) / 2 * grad)",
    "sigmoid_backward": "grad * (1 - y) * y",
    "silu_backward": "grad * (s := 1 / (1 + exp(-x))) * (1 + x * (1 - s))",
    "softplus_backward": "where((t := BETA * x) > THRESHOLD, grad, grad / (1 + exp(-t)))",
    "softshrink_backward": "where(abs(x) > LAMBD, grad, 0)",
    "tanh_backward": "grad * (1 - y * y)",
    "threshold_backward": "where(x > THRESHOLD, grad, 0)",
}

#: Per element of the result's gradient, which has half as many elements as the operand's.
GLU_BACKWARD = "(shared := grad * (s := 1 / (1 + exp(-gate))), shared * x * (1 - s))"


@formula("aten::glu_backward")
def glu_backward(grad_output: TensorSpec) -> Cost:
    """Count the gradients of both halves, ``g·σ(b)`` and ``g·σ(b)·a·(1 − σ(b))``."""
    n, each = numel(grad_output), operations(GLU_BACKWARD, {})
    return Cost(other_flops=n * each.flops, transcendentals=n * each.transcendentals)
