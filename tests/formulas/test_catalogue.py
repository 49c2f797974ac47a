"""The catalogue of operators: their rules, the functions that cost them, and the operators without a rule."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from formulas.test_op_db import UNCOUNTED

import profiler
from profiler.formulas import free, pointwise, registry, rule_for
from profiler.formulas.catalogue import operator_rules, uncounted_operators
from profiler.formulas.registry import overloads
from profiler.formulas.rule_kind import RuleKind
from profiler.trace.dispatch_kind import DispatchKind, classify

ROOT = Path(profiler.__file__).parents[1]
RULES = operator_rules()
BY_NAME = {rule.operator: rule for rule in RULES}


def packet(operator):
    return ".".join(operator.split(".")[:2])


def test_the_list_is_sorted_and_names_each_operator_once():
    assert [rule.operator for rule in RULES] == sorted(BY_NAME)


@pytest.mark.parametrize(
    ("operator", "kind", "file"),
    [
        ("aten.bmm", RuleKind.FORMULA, "profiler/formulas/families/matmul.py"),
        ("aten.copy_", RuleKind.FORMULA, "profiler/formulas/free.py"),
        ("aten.size", RuleKind.FREE, "profiler/formulas/free.py"),
        ("aten.cat", RuleKind.DATA_MOVEMENT, "profiler/formulas/free.py"),
        ("aten.add_", RuleKind.POINTWISE, "profiler/formulas/pointwise.py"),
        ("aten._foreach_add", RuleKind.POINTWISE, "profiler/formulas/pointwise.py"),
        ("quantized.mul", RuleKind.FORMULA, "profiler/formulas/families/quantized_elements.py"),
        ("higher_order.flex_attention", RuleKind.FORMULA, "profiler/formulas/families/higher_order.py"),
    ],
)  # fmt: skip
def test_an_operator_has_its_kind_and_its_file(operator, kind, file):
    assert (BY_NAME[operator].kind, BY_NAME[operator].file) == (kind, file)


def dispatched():
    """List the operators of the installed torch that are recorded: those that are not made of others."""
    for name in torch._C._dispatch_get_all_op_names():
        if not torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"):
            library, _, rest = name.partition("::")
            yield f"{library}.{rest if '.' in rest else f'{rest}.default'}"


def test_every_overload_has_the_arguments_that_its_formula_asks_for():
    missing, formulas = {}, 0
    for operator in dispatched():
        rule = rule_for(operator)
        if rule is None or not isinstance(rule.cost, registry.Formula):
            continue
        formulas += 1
        given = {argument.name for argument in overloads(operator)[0]._schema.arguments} | {"out"} | rule.cost.optional
        if unknown := {name for name, _ in rule.cost.parameters} - given:
            missing[operator] = unknown
    assert missing == {}
    assert formulas > 500


def test_overloads_with_different_rules_are_listed_one_by_one():
    assert "aten.max" not in BY_NAME
    assert BY_NAME["aten.max.dim"].kind is RuleKind.FORMULA
    assert BY_NAME["aten.max.other"].kind is RuleKind.POINTWISE


def test_the_line_is_that_of_the_function_and_the_summary_that_of_its_docstring():
    rule = BY_NAME["aten.bmm"]
    lines = (ROOT / rule.file).read_text(encoding="utf-8").splitlines()
    assert lines[rule.line - 1].startswith("def mm(")
    assert rule.summary
    assert rule.summary in lines[rule.line]


def test_every_rule_points_to_a_def_with_a_docstring():
    texts = {rule.file: (ROOT / rule.file).read_text(encoding="utf-8").splitlines() for rule in RULES}
    assert [rule for rule in RULES if not texts[rule.file][rule.line - 1].lstrip().startswith("def ")] == []
    assert [rule.operator for rule in RULES if not rule.summary] == []


def test_every_formula_and_every_listed_operator_is_there():
    named = {packet(name) for name in registry.registered()}
    named |= {f"aten.{name}" for name in free.FREE | free.DATA_MOVEMENT | pointwise.LISTED}
    listed = {packet(rule.operator) for rule in operator_rules()}  # anew: another test may have registered a formula
    assert {name for name in named if not {name, f"{name}_"} & listed} == set()


def test_the_kind_is_that_of_the_lookup():
    for name, rule in BY_NAME.items():
        overloads = registry.overloads(name)
        kinds = {own.kind for o in overloads if (own := rule_for(str(o))) is not None}
        assert kinds <= {rule.kind}, name


def test_a_formula_of_a_users_own_is_listed_with_its_file():
    with torch.library._scoped_library("catalogue_test", "DEF") as library:
        library.define("scan(Tensor x) -> Tensor")

        @profiler.formula("catalogue_test::scan")
        def scan(x):
            """Count nothing."""

        rule = {rule.operator: rule for rule in operator_rules()}["catalogue_test.scan"]
        del registry._FORMULAS["catalogue_test.scan"]
    assert (rule.kind, rule.file, rule.summary) == (RuleKind.FORMULA, __file__, "Count nothing.")


def test_what_is_uncounted_on_purpose_is_listed_as_uncounted():
    names = {name.removesuffix(".default") for name in UNCOUNTED if name.startswith("aten.")}
    expected = {name for name in names if overloads(name)}  # those of the installed torch
    assert len(expected) > 1
    assert expected <= set(uncounted_operators())


def test_no_operator_is_both_counted_and_uncounted():
    assert set(uncounted_operators()) & set(BY_NAME) == set()


@pytest.mark.parametrize("operator", ["aten.conv2d", "aten.einsum", "aten.view", "aten.transpose"])
def test_composite_operators_and_views_are_not_uncounted(operator):
    assert operator not in uncounted_operators()


@pytest.mark.parametrize("listing", [operator_rules, uncounted_operators])
def test_a_listing_takes_less_than_two_seconds(listing):
    start = time.process_time()
    listing()
    assert time.process_time() - start < 2


#: Operators with a CUDA kernel that stay uncounted: iterative decompositions, whose work depends on the values; 2:4
#: sparsity, whose pruning does; forward-mode derivatives; unpacked tables of quantized embeddings.
UNCOUNTED_ON_CUDA = {
    "_compute_linear_combination", "_cslt_compress", "_cslt_sparse_mm_search",
    "_fake_quantize_learnable_per_channel_affine_backward", "_fake_quantize_learnable_per_tensor_affine_backward",
    "_linalg_eigh", "_linalg_eigvals", "_linalg_svd", "_nested_tensor_softmax_with_shape", "_philox_key_fold_in",
    "_philox_key_split", "_slow_conv2d_backward", "_sparse_semi_structured_apply",
    "_sparse_semi_structured_apply_dense", "_sparse_semi_structured_tile", "_sparse_sparse_matmul",
    "_to_sparse_semi_structured", "_triton_multi_head_attention", "_triton_scaled_dot_attention",
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_avg_pool3d_backward", "box_iou_rotated",
    "embedding_bag_4bit_unpack", "embedding_bag_byte_unpack", "glu_backward_jvp", "glu_jvp", "linalg_eig",
    "linalg_eigvals", "linalg_ldl_factor_ex", "linalg_ldl_solve", "linalg_lstsq", "linalg_matrix_exp",
    "linalg_matrix_sqrth", "linalg_polar", "max_pool2d",
}  # fmt: skip
LIBRARIES = {"aten", "torchvision", "quantized", "_quantized", "mkldnn", "onednn"}


def on_cuda():
    """Yield the operators that have a kernel of their own for CUDA, views and torch's own tests apart."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    for name in torch._C._dispatch_get_all_op_names():
        library, _, rest = name.partition("::")
        if library in LIBRARIES and has_kernel(name, "CUDA") and not rest.startswith("_test"):
            packet, _, overload = rest.partition(".")
            op = getattr(getattr(getattr(torch.ops, library), packet), overload or "default")
            if classify(op)[0] is not DispatchKind.VIEW:
                yield f"{library}.{packet}.{overload or 'default'}"


@pytest.mark.skipif(torch.version.cuda is None, reason="a build of torch without CUDA's kernels")
def test_every_kernel_of_cuda_is_counted_or_known_to_be_uncounted():
    uncounted = {operator.split(".")[1] for operator in on_cuda() if rule_for(operator) is None}
    assert uncounted <= UNCOUNTED_ON_CUDA


@pytest.mark.parametrize(
    ("operator", "is_free"),
    [
        ("aten._dimI.default", True),
        ("aten._coalesced_.default", True),
        ("aten.mm.default", False),
        ("torchvision._dimI.default", False),
        ("torchvision._cuda_version.default", True),
    ],
)
def test_what_only_asks_or_notes_is_free_in_torchs_own_library(operator, is_free):
    assert free.is_free(operator) == is_free
