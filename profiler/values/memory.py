"""What lives in memory: the storages of a run by category, and the classical estimate of a training step's.

Bytes are those of storages, each once however many tensors share it. What a kernel takes and gives back inside one
operator, and what an allocator rounds up or keeps, are not seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from profiler.errors import InputError
from profiler.values.records import ITEMSIZE, Phase
from profiler.values.renamed import warn_renamed

Category = Literal["parameter", "buffer", "gradient", "optimizer_state", "activation", "input", "temporary"]
CATEGORIES: tuple[Category, ...] = (
    "parameter", "buffer", "gradient", "optimizer_state", "activation", "input", "temporary",
)  # fmt: skip
#: Bytes by category, and their "total".
Table = dict[str, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """What was live at one moment, and who had just made something."""

    #: How many storages had come and gone.
    at: int
    module: str
    operator: str
    phase: Phase
    bytes: Table

    @property
    def total(self) -> int:
        """Bytes of all categories."""
        return self.bytes["total"]


@dataclass(frozen=True, slots=True)
class Memory:
    """The live storages of a run: their peak, the peak in each phase, and their course."""

    peak: Moment
    phases: dict[Phase, Moment] = field(default_factory=dict)
    #: At most a few hundred moments; each is the highest of its stretch.
    timeline: tuple[Moment, ...] = ()
    #: Bytes that each module's forward made and that were still live when a backward pass began; each storage once.
    activations: dict[str, int] = field(default_factory=dict)
    #: What the allocator of an accelerator measured as its own peak; None elsewhere.
    measured: int | None = None
    #: What the number of parameters alone lets expect of a training step.
    estimate: Table | None = None

    def __or__(self, other: Memory) -> Memory:
        """Keep the higher of two runs."""
        phases = dict(self.phases)
        for phase, moment in other.phases.items():
            phases[phase] = max(phases.get(phase, moment), moment, key=lambda m: m.total)
        higher = max(self, other, key=lambda memory: memory.peak.total)
        kept = Counter(self.activations) | Counter(other.activations)
        return replace(higher, phases=phases, activations=dict(kept))


#: Values that an optimizer keeps for each parameter, in torch's own implementations with their defaults.
#: Source: the ``state`` that each ``_init_group`` in torch/optim fills.
_STATES = {
    "sgd": 0, "sgd-momentum": 1, "adagrad": 1, "rmsprop": 1, "adadelta": 2, "rprop": 2, "asgd": 1, "lion": 1,
    "adam": 2, "adamw": 2, "nadam": 2, "radam": 2, "adamax": 2,
}  # fmt: skip


def estimate_training(
    params: int, dtype: str = "float32", optimizer: str = "adamw", *, master_weights: bool = False, activations: int = 0
) -> Table:
    """Estimate the memory of a training step from the number of parameters alone, without running anything.

    Parameters and gradients in *dtype*; optimizer states in float32 where *master_weights* are kept beside parameters
    of another dtype (4 more bytes each), or else in *dtype*. Activations are those that you give: no rule on parameters
    tells them.

    Source: Rajbhandari et al., ZeRO (arXiv:1910.02054), section 3.1: 2 + 2 + 12 bytes for mixed-precision Adam.

    Raises:
        InputError: The dtype or the optimizer is not known.

    Example:
        >>> estimate_training(1_000_000, "bfloat16", "adamw", master_weights=True)["total"]
        16000000
    """
    if dtype not in ITEMSIZE:
        msg = f"no dtype {dtype!r}; such as float32, bfloat16 or float16"
        raise InputError(msg)
    if optimizer not in _STATES:
        msg = f"no optimizer {optimizer!r}; known: {', '.join(sorted(_STATES))}"
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
    """Return ``estimate_training`` under its old name."""
    if name != "training":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    warn_renamed("profiler.memory.training", "profiler.memory.estimate_training")
    return estimate_training


def with_total(table: Table) -> Table:
    """Add the sum of a table to it."""
    return table | {"total": sum(table.values())}
