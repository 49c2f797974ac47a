# ruff: noqa: N803 - names in capitals are arguments, as in the notation of an expression
"""The class of pointwise operators: which they are, and what an element of each takes."""

from __future__ import annotations

import math

import pytest
import torch
from formulas.scalar_operations import (
    Elementwise,
    Tally,
    absolute,
    compile_expression,
    cos,
    counts,
    entry,
    evaluate,
    exp,
    exp2,
    floor,
    i0,
    lgamma,
    log,
    log1p,
    log2,
    matches,
    maximum,
    minimum,
    rounded,
    sin,
    sqrt,
    total,
    where,
)

import profiler
from profiler.formulas import RuleKind, registry, rule_for
from profiler.formulas.families.activations import ACTIVATIONS
from profiler.formulas.pointwise import ARITHMETIC, TRANSCENDENTAL, is_pointwise

pytestmark = pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions")
aten = torch.ops.aten
W = 11


def of_windows(window):
    """Run a window's function on as many places as there are elements, which are numbered."""

    def run(n):
        n.copy_(torch.arange(len(n)))
        return window(len(n), dtype=torch.float64)

    return run


def kaiser(n, WINDOW_LENGTH, BETA):
    place = n * (2 / WINDOW_LENGTH) - 1
    return i0(BETA * sqrt(1 - place * place)) / i0(BETA)


def numbered(x):
    """Set the first elements to special values."""
    x[:4] = torch.tensor([math.nan, math.inf, -math.inf, 0])
    return x


def quantized(x, scale, zero_point):
    scale.fill_(0.25), zero_point.fill_(3)
    return torch.quantize_per_channel(x.float()[None], scale[:1], zero_point[:1], 0, torch.qint8).int_repr()[0]


def dequantized(x, zero_point, scale):
    scale.fill_(0.25), zero_point.fill_(3)
    stored = torch.quantize_per_tensor(x.float(), 0.25, 3, torch.qint8)
    x.copy_(stored.int_repr())
    return stored.dequantize()


def fake(operator, scale, zero_point):
    return lambda x: operator(x, scale, zero_point, 0, 15)


def fake_quantize(x, SCALE, ZERO_POINT, QUANT_MIN, QUANT_MAX):
    stored = minimum(QUANT_MAX, maximum(QUANT_MIN, rounded(x / SCALE) + ZERO_POINT))
    return (stored - ZERO_POINT) * SCALE


def quantize(x, SCALE, ZERO_POINT, QMIN, QMAX):
    return minimum(QMAX, maximum(QMIN, rounded(x / SCALE) + ZERO_POINT))


def quantize_by_channel(x, scale, zero_point, QMIN, QMAX):
    return minimum(QMAX, maximum(QMIN, rounded(x / scale) + zero_point))


ONE, THREE = torch.tensor([0.5]), torch.tensor([3])
FAKE = {"SCALE": 0.5, "ZERO_POINT": 3, "QUANT_MIN": 0, "QUANT_MAX": 15}
LENGTH = {"WINDOW_LENGTH": W}
CASES = [
    ("_add_relu", Elementwise(
        lambda x, y: torch.relu(x + 2 * y), lambda x, y, ALPHA: maximum(0, x + ALPHA * y), {"ALPHA": 2}, traced=False)),
    ("_fake_quantize_learnable_per_channel_affine", Elementwise(
        lambda x: aten._fake_quantize_learnable_per_channel_affine(x[None], ONE, THREE.float(), 0, 0, 15)[0],
        fake_quantize, FAKE)),
    ("_fake_quantize_learnable_per_tensor_affine", Elementwise(
        fake(aten._fake_quantize_learnable_per_tensor_affine, ONE, THREE.float()), fake_quantize, FAKE)),
    ("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", Elementwise(
        lambda x: aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams(
            x, ONE, THREE.int(), torch.tensor([1]), 0, 15)[0],
        fake_quantize, FAKE)),
    ("add", Elementwise(lambda x, y: torch.add(x, y, alpha=2), lambda x, y, ALPHA: x + ALPHA * y, {"ALPHA": 2})),
    ("addcdiv", Elementwise(
        lambda x, a, b: torch.addcdiv(x, a, b, value=2), lambda x, a, b, VALUE: x + VALUE * (a / b), {"VALUE": 2})),
    ("addcmul", Elementwise(
        lambda x, a, b: torch.addcmul(x, a, b, value=2), lambda x, a, b, VALUE: x + VALUE * (a * b), {"VALUE": 2})),
    ("bartlett_window", Elementwise(
        of_windows(torch.bartlett_window), lambda n, WINDOW_LENGTH: 1 - absolute(n * (2 / WINDOW_LENGTH) - 1), LENGTH)),
    ("blackman_window", Elementwise(
        of_windows(torch.blackman_window),
        lambda n, WINDOW_LENGTH: 0.42 - 0.5 * cos((2 * math.pi / WINDOW_LENGTH) * n)
        + 0.08 * cos((4 * math.pi / WINDOW_LENGTH) * n), LENGTH)),
    ("clamp", Elementwise(
        lambda x: torch.clamp(x, -1, 2), lambda x, MIN, MAX: minimum(MAX, maximum(MIN, x)), {"MIN": -1, "MAX": 2})),
    ("clamp", Elementwise(lambda x: torch.clamp(x, min=1), lambda x, MIN, MAX: maximum(x, 1), {"MIN": 1, "MAX": None})),
    ("clamp", Elementwise(lambda x: torch.clamp(x, max=1), lambda x, MIN, MAX: minimum(x, 1), {"MIN": None, "MAX": 1})),
    ("clamp", Elementwise(
        lambda x: x.clamp(0.3, 0.7), lambda x, MIN, MAX: minimum(MAX, maximum(MIN, x)), {"MIN": 0.3, "MAX": 0.7})),
    ("clamp", Elementwise(
        lambda x: torch.clamp(x, min=0.3), lambda x, MIN, MAX: maximum(x, MIN), {"MIN": 0.3, "MAX": None})),
    ("clip", Elementwise(
        lambda x: torch.clip(x, -1, 2), lambda x, MIN, MAX: minimum(MAX, maximum(MIN, x)), {"MIN": -1, "MAX": 2},
        traced=False)),
    ("clone", Elementwise(torch.clone, lambda x: x)),
    ("dequantize", Elementwise(dequantized, lambda x, zero_point, scale: scale * (x - zero_point))),
    ("div", Elementwise(torch.div, lambda x, y, ROUNDING_MODE: x / y, {"ROUNDING_MODE": None})),
    ("div", Elementwise(
        lambda x, y: torch.div(x, y, rounding_mode=None), lambda x, y, ROUNDING_MODE: x / y, {"ROUNDING_MODE": None})),
    ("div", Elementwise(
        lambda x, y: aten.div.Scalar_mode(x, y.fill_(1.5)[0].item(), rounding_mode="floor"),
        lambda x, y, ROUNDING_MODE: floor(x / y), {"ROUNDING_MODE": "floor"})),
    ("div", Elementwise(
        lambda x, y: torch.div(x, y, rounding_mode="floor"), lambda x, y, ROUNDING_MODE: floor(x / y),
        {"ROUNDING_MODE": "floor"})),
    ("div", Elementwise(
        lambda x, y: torch.div(x, y, rounding_mode="floor", out=torch.empty_like(x)),
        lambda x, y, ROUNDING_MODE: floor(x / y), {"ROUNDING_MODE": "floor"})),
    ("fake_quantize_per_channel_affine_cachemask", Elementwise(
        lambda x: aten.fake_quantize_per_channel_affine_cachemask(x[None], ONE, THREE.int(), 0, 0, 15)[0][0],
        fake_quantize, FAKE)),
    ("fake_quantize_per_tensor_affine_cachemask", Elementwise(
        lambda x: aten.fake_quantize_per_tensor_affine_cachemask(x, 0.5, 3, 0, 15)[0], fake_quantize, FAKE)),
    ("floor_divide", Elementwise(torch.floor_divide, lambda x, y: floor(x / y))),
    ("hamming_window", Elementwise(
        of_windows(torch.hamming_window),
        lambda n, WINDOW_LENGTH: 0.54 - 0.46 * cos((2 * math.pi / WINDOW_LENGTH) * n), LENGTH)),
    ("hann_window", Elementwise(
        of_windows(torch.hann_window),
        lambda n, WINDOW_LENGTH: 0.5 - 0.5 * cos((2 * math.pi / WINDOW_LENGTH) * n), LENGTH)),
    ("hypot", Elementwise(torch.hypot, lambda x, y: sqrt(x * x + y * y))),
    ("kaiser_window", Elementwise(of_windows(torch.kaiser_window), kaiser, LENGTH | {"BETA": 12.0})),
    ("kaiser_window", Elementwise(
        of_windows(lambda n, dtype: torch.kaiser_window(n, True, 4.0, dtype=dtype)), kaiser, LENGTH | {"BETA": 4.0})),
    ("lerp", Elementwise(torch.lerp, lambda x, y, w: x + w * (y - x))),
    ("logaddexp", Elementwise(torch.logaddexp, lambda x, y: log(exp(x) + exp(y)))),
    ("logaddexp2", Elementwise(torch.logaddexp2, lambda x, y: log2(exp2(x) + exp2(y)))),
    ("logit", Elementwise(torch.logit, lambda x, EPS: log(x / (1 - x)), {"EPS": None}, low=0.1, high=0.9)),
    ("logit", Elementwise(
        lambda x: torch.logit(x, 1e-6), lambda x, EPS: log((z := minimum(maximum(x, EPS), 1 - EPS)) / (1 - z)),
        {"EPS": 1e-6}, low=0.1, high=0.9)),
    ("logit_backward", Elementwise(
        aten.logit_backward, lambda grad, x: grad / (x * (1 - x)), low=0.1, high=0.9)),
    ("nan_to_num", Elementwise(
        lambda x: torch.nan_to_num(numbered(x), 1, 2, 3),
        lambda x, NAN, POSINF, NEGINF: where(  # a NaN differs from itself
            x != x, NAN, where(x == math.inf, POSINF, where(x == -math.inf, NEGINF, x))),  # noqa: PLR0124
        {"NAN": 1, "POSINF": 2, "NEGINF": 3})),
    ("polar", Elementwise(
        lambda r, angle: torch.view_as_real(torch.polar(r, angle)).unbind(-1),
        lambda r, angle: (r * cos(angle), r * sin(angle)))),
    ("positive", Elementwise(torch.positive, lambda x: x, traced=False)),
    ("pow", Elementwise(
        lambda x: x**4, lambda x, EXPONENT: x**EXPONENT, {"EXPONENT": 4})),
    ("quantize_per_channel", Elementwise(
        quantized, quantize_by_channel, {"QMIN": -128, "QMAX": 127})),
    ("quantize_per_tensor", Elementwise(
        lambda x: torch.quantize_per_tensor(x.float(), 0.5, 3, torch.qint8).int_repr(),
        quantize, {"SCALE": 0.5, "ZERO_POINT": 3, "QMIN": -128, "QMAX": 127})),
    ("rsub", Elementwise(
        lambda x, y: torch.rsub(x, y, alpha=2), lambda x, y, ALPHA: y - ALPHA * x, {"ALPHA": 2}, traced=False)),
    ("sinc", Elementwise(torch.sinc, lambda x: where(x == 0, 1, sin(part := math.pi * x) / part))),
    ("special_entr", Elementwise(
        torch.special.entr,
        lambda x: where(x > 0, -x * log(x), where(x == 0, 0, -math.inf)), low=0.1)),
    ("special_xlog1py", Elementwise(
        torch.special.xlog1py, lambda x, y: where(x == 0, 0, x * log1p(y)), low=0.1)),
    ("square", Elementwise(torch.square, lambda x: x * x, traced=False)),
    ("sub", Elementwise(lambda x, y: torch.sub(x, y, alpha=2), lambda x, y, ALPHA: x - ALPHA * y, {"ALPHA": 2})),
    ("xlogy", Elementwise(torch.xlogy, lambda x, y: where(x == 0, 0, x * log(y)), low=0.1)),
]  # fmt: skip

#: What falls to the rule of one FLOP an element, since it is in no table: operations of a processor, or nearly so.
ELEMENTARY = frozenset(
    """
    __and__ __ilshift__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__ abs bitwise_and bitwise_left_shift
    bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp_max clamp_min conj_physical copysign deg2rad div
    eq floor fmax fmin fmod frac frexp gcd ge gt heaviside isfinite isinf isnan isneginf isposinf lcm ldexp le
    logical_and logical_not logical_or logical_xor lt max maximum min minimum mul ne neg nextafter rad2deg reciprocal
    remainder round sgn sign signbit true_divide trunc
""".split()
)


def tagged():
    """Every operator of torch's own that it calls pointwise, by its functional name."""
    for schema in torch._C._jit_get_all_schemas():
        library, _, name = schema.name.partition("::")
        operator = f"aten.{name}.{schema.overload_name or 'default'}"
        if library == "aten" and any(torch.Tag.pointwise in o.tags for o in registry.overloads(operator)):
            yield operator


def test_every_arithmetic_expression_has_a_definition_here():
    assert {name for name, _ in CASES} == set(ARITHMETIC)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_an_operator_costs_what_its_definition_computes(name, case):
    ours, tallied = evaluate(name, case, case.define)
    assert ours == tallied


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_an_expression_of_the_table_evaluates_to_what_torch_computes(name, case):
    ours, tallied = evaluate(name, case, compile_expression(ARITHMETIC[name], 2 if name == "polar" else 1))
    assert ours == tallied


def test_every_operator_that_torch_tags_has_a_rule_and_a_class():
    """One that is new in a version of torch must be put into a class on purpose."""
    measured = {operator.split(".")[1] for operator in tagged() if rule_for(operator).kind is RuleKind.POINTWISE}
    listed = TRANSCENDENTAL | {*ARITHMETIC, *ACTIVATIONS}
    functional = {name if name.endswith("__") else name.removesuffix("_") for name in measured}
    assert {name for name in functional - listed if not name.startswith("special_")} <= ELEMENTARY


def totals(run):
    with profiler.profile() as p:
        run()
    return p.totals.other_flops, p.totals.transcendentals


@pytest.mark.parametrize(
    "name",
    [
        "acos", "asin", "atan", "atanh", "cos", "cosh", "digamma", "erf", "erfc", "erfinv", "exp", "exp2", "expm1",
        "i0", "lgamma", "log", "log10", "log1p", "log2", "rsqrt", "sin", "sinh", "sqrt", "tan", "tanh", "special_erfcx",
        "special_i1", "special_ndtri", "special_log_ndtr", "special_bessel_j0", "special_airy_ai",
    ],
)  # fmt: skip
def test_a_function_is_one_transcendental_an_element_and_no_flop(name):
    x = torch.full((3, 4), 0.5)
    assert totals(lambda: getattr(aten, name)(x)) == (0, 12)


@pytest.mark.parametrize(
    "run",
    [
        lambda x: torch.atan2(x, x), lambda x: torch.igamma(x, x), lambda x: torch.polygamma(2, x),
        lambda x: torch.special.zeta(2, x), lambda x: 2.5**x, lambda x: x**x,
        torch.angle,
    ],
)  # fmt: skip
def test_a_function_of_two_is_one_transcendental_too(run):
    assert totals(lambda: run(torch.full((3, 4), 0.5))) == (0, 12)


@pytest.mark.parametrize(
    ("exponent", "cost"),
    [(0, (0, 0)), (1, (0, 0)), (2, (1, 0)), (3, (2, 0)), (4, (0, 1)), (2.5, (0, 1)), (-1, (1, 0)), (-2, (2, 0)),
     (0.5, (0, 1)), (-0.5, (0, 1))],
)  # fmt: skip
def test_a_small_power_is_made_of_products(exponent, cost):
    """As the kernels make it: x·x, x·x·x, 1/x, 1/(x·x), sqrt and rsqrt; any other is a function."""
    flops, transcendentals = totals(lambda: torch.rand(5) ** exponent)
    assert (flops, transcendentals) == (5 * cost[0], 5 * cost[1])


def test_the_elements_are_those_of_the_broadcast_result():
    assert totals(lambda: torch.rand(4, 1) * torch.rand(1, 6)) == (24, 0)
    assert totals(lambda: torch.rand(4, 6) > 0) == (24, 0)
    assert totals(lambda: torch.rand(1, 6).expand(4, 6).neg()) == (24, 0)
    assert totals(lambda: torch.rand(()) + 1) == (1, 0)
    assert totals(lambda: torch.rand(0, 6) + 1) == (0, 0)


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x.add_(x), lambda x: torch.add(x, x, out=torch.empty(7)), lambda x: x.int() & 3,
        lambda x: x.int() << 1,
        lambda x: x.bool().logical_not(), lambda x: torch.maximum(x, x), lambda x: torch.max(x, x), torch.reciprocal,
        lambda x: torch.copysign(x, 2.0), lambda x: x.eq(1), lambda x: x.floor_(), lambda x: x.clamp_min(0.3),
    ],
)  # fmt: skip
def test_an_elementary_operation_is_one_flop_an_element(run):
    assert totals(lambda: run(torch.ones(7))) == (7, 0)


def test_what_only_chooses_or_copies_is_no_arithmetic():
    x, mask = torch.rand(7), torch.ones(7, dtype=torch.bool)
    for run in (lambda: torch.where(mask, x, x), x.clone, lambda: x.masked_fill(mask, 0), x.double):
        assert totals(run) == (0, 0)


@pytest.mark.parametrize(("dtype", "flops"), [(torch.complex64, 5), (torch.float32, 0), (torch.int64, 0)])
def test_a_conjugate_negates_complex_numbers_and_copies_others(dtype, flops):
    x = torch.ones(5, dtype=dtype)
    assert totals(lambda: torch.conj_physical(x, out=torch.empty_like(x))) == (flops, 0)
    assert totals(x.conj_physical_) == (flops, 0)


def test_a_complex_element_is_one_element():
    assert totals(lambda: torch.ones(5, dtype=torch.complex64) * 2) == (5, 0)


def test_a_sparse_result_counts_the_elements_that_it_stores():
    x = torch.eye(6).to_sparse()
    assert totals(lambda: x * 2) == (6, 0)


def test_the_largest_of_two_is_pointwise_and_the_largest_of_one_is_not():
    assert is_pointwise("aten.max.other")
    assert not is_pointwise("aten.max.dim")
    assert not is_pointwise("aten.max.default")


def test_an_operator_of_another_library_is_not_ours_to_class():
    """Its author may have registered a formula for it; an element of it may take anything."""
    with torch.library._scoped_library("pointwise_test", "DEF") as library:
        library.define("norm_of_all(Tensor x) -> Tensor", tags=torch.Tag.pointwise)
        assert not is_pointwise("pointwise_test.norm_of_all.default")


def test_a_multivariate_gamma_function_takes_a_function_for_each_dimension():
    """Σ lgamma(x − i/2) over i < p, and p(p − 1)/4·log π."""
    x, p = torch.full((5,), 4.0, dtype=torch.float64), 3
    result = []
    measured = entry("aten.mvlgamma", lambda: result.append(torch.mvlgamma(x, p)))
    tally = Tally()
    made = [
        total(lgamma(n if i == 0 else n - i / 2) for i in range(p)) + p * (p - 1) / 4 * math.log(math.pi)
        for n in tally.numbers(x)
    ]
    assert matches(made, result[0])
    assert counts(measured) == tally.counts
