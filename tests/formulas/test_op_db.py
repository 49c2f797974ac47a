"""A sweep over the samples by which torch tests its own operators.

Nothing that runs may be without a rule, and every form of an operator (in place, a method, into a given result, an
alias) counts the same. ``pytest -m slow tests/formulas/test_op_db.py`` prints what does not, and what ran it.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import islice

import pytest
import torch
from torch.utils._pytree import tree_map

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

#: Into a given result, a conjugate is computed; elsewhere torch only marks it.
CONJUGATED = {(f"fft.{name}", "out") for name in ("ifft", "ihfft", "ihfft2", "ihfftn")}
ENOUGH = 1_000


def samples(info, most=SAMPLES):
    """Return sample inputs on the CPU, which require gradients if the operator supports them."""
    dtypes = sorted(info.supported_dtypes("cpu"), key=str)
    if not dtypes:
        return []
    dtype = torch.float32 if torch.float32 in dtypes else dtypes[0]
    gradients = info.supports_autograd and dtype.is_floating_point
    return islice(info.sample_inputs("cpu", dtype, requires_grad=gradients), most)


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


def copied(sample):
    """Return the arguments of a sample, with copies of its tensors that need no gradients."""
    arguments = (sample.input, sample.args, sample.kwargs)
    return tree_map(lambda x: x.detach().clone() if isinstance(x, torch.Tensor) else x, arguments)


def counts(run):
    """Return what a call counts, and whether some of it is uncounted; and its result. None for a call that raises."""
    with profiler.profile() as p:
        try:
            result = run()
        except (AssertionError, RuntimeError, NotImplementedError, TypeError, ValueError):
            return None  # a form that does not take this sample
    totals = p.totals
    return (totals.macs, totals.other_flops, totals.transcendentals, bool(p.uncounted)), result


def forms(info, sample, result):
    """Return the other forms of an operator, as calls on arguments of their own."""
    found = {"in place": info.inplace_variant, "method": info.method_variant, **{a.name: a.op for a in info.aliases}}
    if info.supports_out:
        out = tree_map(lambda x: torch.empty_like(x) if isinstance(x, torch.Tensor) else x, result)
        found["out"] = partial(info.op, out=out)
    for name, form in found.items():
        if form is not None:
            input_, args, kwargs = copied(sample)
            yield name, partial(form, input_, *args, **kwargs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_form_of_an_operator_counts_the_same():
    pytest.importorskip("expecttest")
    pytest.importorskip("numpy")
    from torch.testing._internal.common_methods_invocations import op_db

    compared, different = 0, defaultdict(list)
    for info in op_db:
        for sample in samples(info, most=3):
            input_, args, kwargs = copied(sample)
            if (functional := counts(partial(info.op, input_, *args, **kwargs))) is None:
                continue
            expected, result = functional
            for name, run in forms(info, sample, result):
                if (form := counts(run)) is not None:
                    compared += 1
                    if form[0] != expected:
                        different[info.name, name].append((expected, form[0]))
    assert {form: rows for form, rows in different.items() if form not in CONJUGATED} == {}
    assert compared > ENOUGH


@pytest.mark.parametrize("operator", UNCOUNTED)
def test_what_is_uncounted_on_purpose_has_no_rule(operator):
    assert rule_for(operator) is None
