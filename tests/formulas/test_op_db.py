"""A sweep over the samples by which torch tests its own operators: nothing that runs may be without a rule.

``pytest -m slow tests/formulas/test_op_db.py`` prints what is uncounted, and which of torch's operators ran it.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

import pytest
import torch

import profiler
from profiler.errors import ProfilerError
from profiler.formulas import rule_for

SAMPLES = 12

ITERATIVE = "the number of its steps depends on the values"
PIVOTED = "its pivots, of one row or two, depend on the values"
CHUNKED = "a Python operator whose steps depend on the device, the dtypes and the options"
#: What has no rule on purpose, and why.
UNCOUNTED = {
    "aten._linalg_eigh.default": ITERATIVE,
    "aten._linalg_svd.default": ITERATIVE,
    "aten.linalg_eig.default": ITERATIVE,
    "aten.linalg_ldl_factor_ex.default": PIVOTED,
    "aten.linalg_ldl_solve.default": PIVOTED,
    "aten.linalg_lstsq.default": "the method is the driver's: an orthogonal decomposition, or singular values",
    "aten.linalg_matrix_exp.default": "the degree of its polynomial depends on the values",
    "aten.linalg_matrix_sqrth.default": "made of eigenvalues",
    "aten.linalg_pinv.atol_rtol_tensor": "made of singular values",
    "aten.linalg_polar.default": "made of singular values",
    "aten._sparse_mm_reduce_impl_backward.default": "an extreme's gradient depends on where the extreme was",
    "torch_nn._linear_cross_entropy_batch_chunked.default": CHUNKED,
    "torch_nn._linear_cross_entropy_batch_chunked_no_reduction.default": CHUNKED,
}


def samples(info):
    """Return sample inputs on the CPU, which require gradients if the operator supports them."""
    dtypes = sorted(info.supported_dtypes("cpu"), key=str)
    if not dtypes:
        return []
    dtype = torch.float32 if torch.float32 in dtypes else dtypes[0]
    gradients = info.supports_autograd and dtype.is_floating_point
    return islice(info.sample_inputs("cpu", dtype, requires_grad=gradients), SAMPLES)


def run(info, sample):
    """Call an operator, and its gradient."""
    results = info(sample.input, *sample.args, **sample.kwargs)
    results = results if isinstance(results, (tuple, list)) else [results]
    roots = [r for r in results if isinstance(r, torch.Tensor) and r.requires_grad]
    if roots:
        torch.autograd.backward([root.abs().sum() for root in roots])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_operator_that_torchs_own_samples_run_is_counted():
    pytest.importorskip("expecttest")
    pytest.importorskip("numpy")
    from torch.testing._internal.common_methods_invocations import op_db

    missing, failed = defaultdict(set), {}
    for info in op_db:
        for sample in samples(info):
            with profiler.profile() as p:
                try:
                    run(info, sample)
                except (AssertionError, RuntimeError, NotImplementedError):
                    continue  # an operator of another device, or a sample that has no gradient here
            try:
                for row in p.uncounted:
                    missing[row.operator].add(info.name)
            except ProfilerError as error:
                failed[info.name] = str(error)
    unexplained = {operator: sorted(by) for operator, by in missing.items() if operator not in UNCOUNTED}
    assert (unexplained, failed) == ({}, {})


@pytest.mark.parametrize("operator", UNCOUNTED)
def test_what_is_uncounted_on_purpose_has_no_rule(operator):
    assert rule_for(operator) is None
