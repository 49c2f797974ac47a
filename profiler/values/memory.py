"""Live memory of a run by category, and a rule-of-thumb estimate for a training step.

Bytes are those of tensor storages; a storage counts once, however many tensors share it. Workspace that a kernel
allocates and frees within one operator is not counted, and neither is what an allocator rounds up or caches.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from profiler.errors import InputError
from profiler.values.records import ITEMSIZE, Phase
from profiler.values.renamed import warn_renamed

Category = Literal[
    "parameter",
    "buffer",
    "gathered",
    "gradient",
    "optimizer_state",
    "activation",
    "input",
    "communication",
    "temporary",
]
#: "gathered" are whole parameters that FSDP2 assembles of the shards of all ranks; "communication" are the buffers that
#: are sent and received, such as FSDP's flat ones and the buckets of DDP.
CATEGORIES: tuple[Category, ...] = (
    "parameter", "buffer", "gathered", "gradient", "optimizer_state", "activation", "input", "communication",
    "temporary",
)  # fmt: skip
#: Bytes by category, and their sum under "total".
Table = dict[str, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """The live bytes at one point of a run, and the operator that had just allocated or freed a storage."""

    #: Number of allocations and frees up to this point.
    at: int
    module: str
    operator: str
    phase: Phase
    bytes: Table

    def __post_init__(self) -> None:
        """Raise a ``ValueError`` if the sum of the bytes is missing, as in a file that was edited."""
        _check_total(self.bytes)

    @property
    def total(self) -> int:
        """Bytes of all categories."""
        return self.bytes["total"]


@dataclass(frozen=True, slots=True)
class MemorySaving:
    """What a change of a training step saves at the peak, from the step without it and the step with it."""

    #: What changes, such as "activation checkpointing".
    change: str
    #: Peak bytes without the change.
    before: int = 0
    #: Peak bytes with it; None if that step could not run, and *why* says why.
    after: int | None = None
    #: FLOPs of forward, backward and recompute without the change, and with it.
    flops_before: int = 0
    flops_after: int = 0
    #: Whether the step that was counted has the change.
    is_applied: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """The live memory of a run: its peak, the peak of each phase, and a timeline."""

    peak: Moment
    phases: dict[Phase, Moment] = field(default_factory=dict)
    #: At most a few hundred moments, each the highest of its interval.
    timeline: tuple[Moment, ...] = ()
    #: By module path: bytes allocated in the module's forward and still live when a backward pass began.
    activations: dict[str, int] = field(default_factory=dict)
    #: Peak bytes reported by the CUDA allocator; None on other devices.
    measured: int | None = None
    #: Estimate of a training step from the number of parameters alone.
    estimate: Table | None = None
    #: What changes of the step save at its peak: those that it has, and those that were asked for.
    savings: tuple[MemorySaving, ...] = ()

    def __post_init__(self) -> None:
        """Raise a ``ValueError`` if the sum of the estimate is missing, as in a file that was edited."""
        if self.estimate is not None:
            _check_total(self.estimate)

    def __or__(self, other: Memory) -> Memory:
        """Combine two runs: take the higher peak, overall and of each phase."""
        phases = dict(self.phases)
        for phase, moment in other.phases.items():
            phases[phase] = max(phases.get(phase, moment), moment, key=lambda m: m.total)
        higher = max(self, other, key=lambda memory: memory.peak.total)
        activations = Counter(self.activations) | Counter(other.activations)
        return replace(higher, phases=phases, activations=dict(activations))


#: State values per parameter, for the optimizers of ``torch.optim`` with their default options. Source: the ``state``
#: that each ``_init_group`` in torch/optim fills.
_STATES = {
    "sgd": 0, "sgd-momentum": 1, "adagrad": 1, "rmsprop": 1, "adadelta": 2, "rprop": 2, "asgd": 1, "lion": 1,
    "adam": 2, "adamw": 2, "nadam": 2, "radam": 2, "adamax": 2,
}  # fmt: skip


def estimate_training(
    params: int, dtype: str = "float32", optimizer: str = "adamw", *, master_weights: bool = False, activations: int = 0
) -> Table:
    """Estimate the memory of a training step from the number of parameters, without running a model.

    Parameters and gradients are stored in *dtype*. So are optimizer states, unless *master_weights* is set: then the
    states and a master copy of each parameter are float32 (4 bytes each).

    Args:
        params: Number of trainable parameters.
        dtype: Dtype of parameters and gradients, such as ``"float32"`` or ``"bfloat16"``.
        optimizer: Name of an optimizer of ``torch.optim`` in lower case; also ``"sgd-momentum"`` and ``"lion"``.
        master_weights: Whether a float32 copy of each parameter is kept, as in mixed-precision training.
        activations: Bytes of activations. They do not follow from the number of parameters, so you supply them.

    Returns:
        Bytes of ``"parameter"``, ``"gradient"``, ``"optimizer_state"`` and ``"activation"``, and their ``"total"``.

    Source: Rajbhandari et al., ZeRO (arXiv:1910.02054), section 3.1: 2 + 2 + 12 bytes for mixed-precision Adam.

    Raises:
        InputError: The dtype or the optimizer is unknown.

    Example:
        >>> estimate_training(1_000_000, "bfloat16", "adamw", master_weights=True)["total"]
        16000000
    """
    if dtype not in ITEMSIZE:
        msg = f"no dtype named {dtype!r}; use one such as float32, bfloat16 or float16"
        raise InputError(msg)
    if optimizer not in _STATES:
        msg = f"no optimizer named {optimizer!r}; choose one of {', '.join(sorted(_STATES))}"
        raise InputError(msg)
    size = ITEMSIZE[dtype]
    state = (4 if master_weights else size) * _STATES[optimizer] + (4 if master_weights else 0)
    return with_total(
        {
            "parameter": int(params * size),
            "gradient": int(params * size),
            "optimizer_state": int(params * state),
            "activation": activations,
        }
    )


def __getattr__(name: str) -> object:
    """Return ``estimate_training`` under its deprecated name ``training``."""
    if name != "training":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    warn_renamed("profiler.memory.training", "profiler.memory.estimate_training")
    return estimate_training


def _check_total(table: Table) -> None:
    if "total" not in table:
        msg = "bytes by category have no total"
        raise ValueError(msg)


def with_total(table: Table) -> Table:
    """Return *table* with the sum of its values under ``"total"``."""
    return table | {"total": sum(table.values())}
