"""Random numbers: to draw one is no FLOP.

Generators work on integers in registers, and each device has its own; neither that nor the change to another
distribution is counted. Two things are: a Bernoulli variable is a uniform number compared with its probability, and a
multinomial one is selected by arithmetic on the probabilities. In-place draws read nothing but their parameters.
"""

from __future__ import annotations

from profiler.formulas.element_counts import length, numel, reduction_ops
from profiler.formulas.families.sorting import log2_ceiling
from profiler.formulas.registry import formula
from profiler.values.records import Cost, TensorSpec


@formula(
    "aten::_cudnn_init_dropout_state", "aten::_fill_mem_eff_dropout_mask_", "aten::cauchy", "aten::cauchy_",
    "aten::exponential", "aten::exponential_", "aten::geometric", "aten::geometric_", "aten::log_normal",
    "aten::log_normal_", "aten::normal_", "aten::normal_functional", "aten::rand", "aten::rand_like", "aten::randint",
    "aten::randint_like", "aten::randn", "aten::randn_like", "aten::random", "aten::random_", "aten::randperm",
    "aten::uniform", "aten::uniform_",
)  # fmt: skip
def draw() -> Cost:
    """Write the numbers; a tensor that is given only says how many."""
    return Cost(bytes_read=0)


@formula("aten::_philox_normal", "aten::_philox_randint", "aten::_philox_uniform")
def draw_by_key(key: TensorSpec) -> Cost:
    """Write the numbers, which follow from a key."""
    return Cost(bytes_read=key.bytes)


@formula("aten::normal", "aten::poisson", "aten::binomial", "aten::_standard_gamma", "aten::_sample_dirichlet")
def draw_each() -> Cost:
    """Write a number for each element of the parameters, which are read."""
    return Cost()


@formula("aten::bernoulli.default", "aten::bernoulli.out")
def bernoulli(out: TensorSpec) -> Cost:
    """Compare each number drawn with its own probability."""
    return Cost(other_flops=numel(out))


@formula("aten::bernoulli.p", "aten::bernoulli_.float", "aten::bernoulli.float_out")
def bernoulli_p(out: TensorSpec) -> Cost:
    """Compare each number drawn with one probability."""
    return Cost(other_flops=numel(out), bytes_read=0)


@formula("aten::bernoulli.Tensor", "aten::bernoulli_.Tensor", "aten::bernoulli.Tensor_out")
def bernoulli_tensor(p: TensorSpec, out: TensorSpec) -> Cost:
    """Compare each number drawn with its own probability, into another tensor."""
    return Cost(other_flops=numel(out), bytes_read=p.bytes)


@formula("aten::multinomial")
def multinomial(self: TensorSpec, num_samples: int, replacement: bool) -> Cost:
    """Select categories by their weights, from each row of n.

    One sample, or k without replacement: each weight is divided by an exponential variable, and the k largest selected
    (k = 1: n − 1 compares). Else the weights are summed up (n − 1), normalised (n), and each sample is searched.
    Source: aten/src/ATen/native/Distributions.cpp of torch (``multinomial_out``).
    """
    n = length(self, -1)
    each = numel(self) // max(n, 1)
    if num_samples == 1:
        return Cost(other_flops=each * (n + reduction_ops(n, 1)))
    if not replacement:
        return Cost(other_flops=each * n * (1 + log2_ceiling(num_samples + 1)))
    return Cost(other_flops=each * (reduction_ops(n, 1) + n + num_samples * log2_ceiling(n)))
