"""Random number generation, which counts no FLOPs but for Bernoulli and multinomial samples.

Generators run on integers in registers, and the algorithm depends on the device; neither that nor the transform to the
requested distribution is counted. A Bernoulli sample counts the compare of a uniform number with its probability, a
multinomial one the arithmetic on the probabilities. In-place operators read only their distribution's parameters.
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
    """Count only the bytes written; a tensor argument only provides the shape and is not read."""
    return Cost(bytes_read=0)


@formula("aten::_philox_normal", "aten::_philox_randint", "aten::_philox_uniform")
def draw_by_key(key: TensorSpec) -> Cost:
    """Count the bytes of the key and of the numbers generated from it."""
    return Cost(bytes_read=key.bytes)


@formula("aten::normal", "aten::poisson", "aten::binomial", "aten::_standard_gamma", "aten::_sample_dirichlet")
def draw_each() -> Cost:
    """Count the bytes of the distribution's parameters and of the samples, one per element."""
    return Cost()


@formula("aten::bernoulli.default", "aten::bernoulli.out")
def bernoulli(out: TensorSpec) -> Cost:
    """Count one compare per sample, each with its own probability."""
    return Cost(other_flops=numel(out))


@formula("aten::bernoulli.p", "aten::bernoulli_.float", "aten::bernoulli.float_out")
def bernoulli_p(out: TensorSpec) -> Cost:
    """Count one compare per sample, all with the same probability *p*."""
    return Cost(other_flops=numel(out), bytes_read=0)


@formula("aten::bernoulli.Tensor", "aten::bernoulli_.Tensor", "aten::bernoulli.Tensor_out")
def bernoulli_tensor(p: TensorSpec, out: TensorSpec) -> Cost:
    """Count one compare per sample, each with its own probability in *p*; *self* is not read."""
    return Cost(other_flops=numel(out), bytes_read=p.bytes)


@formula("aten::multinomial")
def multinomial(self: TensorSpec, num_samples: int, replacement: bool) -> Cost:
    """Count the selection of categories by weight, from each row of n weights.

    For one sample, or k without replacement, each weight is divided by an exponential sample and the k largest are
    selected (for k = 1, n − 1 compares). With replacement, the weights are accumulated (n − 1) and normalised (n), and
    each sample takes a binary search.

    Source: aten/src/ATen/native/Distributions.cpp of torch (``multinomial_out``).
    """
    n = length(self, -1)
    each = numel(self) // max(n, 1)
    if num_samples == 1:
        return Cost(other_flops=each * (n + reduction_ops(n, 1)))
    if not replacement:
        return Cost(other_flops=each * n * (1 + log2_ceiling(num_samples + 1)))
    return Cost(other_flops=each * (reduction_ops(n, 1) + n + num_samples * log2_ceiling(n)))
