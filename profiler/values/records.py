"""Records of the operators that ran, and the cost of one call.

A record holds no tensor, module or torch type, so that it can be saved and loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from profiler.values.renamed import warn_renamed

Shape = tuple[int, ...]
Phase = Literal["forward", "backward", "recompute", "optimizer"]
#: The module path of operators that ran outside every call of the model.
OUTSIDE = "(outside)"
#: In the place of an operator's name: the work of a kernel that is none, known by the tensor that it made.
UNSEEN_WORK = "unseen work"
#: Arguments of attention that hold the lengths of sequences, or their offsets: their values determine the cost.
LENGTHS = frozenset({
    "cu_seq_k", "cu_seq_q", "cu_seqlens_k", "cu_seqlens_q", "cum_seq_k", "cum_seq_q", "seqlen_k", "seqused_k",
})  # fmt: skip
PHASES: tuple[Phase, ...] = ("forward", "backward", "recompute", "optimizer")


class TensorSpec(NamedTuple):
    """Shape, dtype and layout of a tensor operand or result.

    A named tuple and not a dataclass, because it hashes faster: every recorded operator call hashes several specs.
    """

    shape: Shape
    dtype: str
    #: Stored elements: a dimension expanded with stride 0 counts once; of a sparse tensor, only its non-zeros count.
    elements: int
    #: "strided", "sparse_coo", "sparse_csr", "nested" …
    layout: str = "strided"
    #: Values of a small integer tensor that determine the cost (offsets, sequence lengths).
    values: tuple[int, ...] | None = None
    #: Of an attention mask whose values could be read: the number of scores that it leaves unmasked.
    unmasked: int | None = None

    @property
    def kept(self) -> int | None:
        """The old name of ``unmasked``, which warns."""
        warn_renamed("TensorSpec.kept", "TensorSpec.unmasked")
        return self.unmasked

    @property
    def itemsize(self) -> int | float:
        """Bytes of an element (half a byte for a packed 4-bit dtype)."""
        return ITEMSIZE[self.dtype]

    @property
    def bytes(self) -> int:
        """Bytes of the stored elements."""
        return int(self.elements * ITEMSIZE[self.dtype])

    @property
    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.startswith("complex")

    @property
    def is_floating(self) -> bool:
        """Whether the dtype is floating-point, real or complex."""
        return self.dtype.startswith(("float", "bfloat", "complex"))


#: Bytes of an element by dtype name. Source: torch.dtype.itemsize; 4-bit dtypes pack two to a byte.
ITEMSIZE: dict[str, int | float] = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex32": 4, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1, "quint8": 1, "qint8": 1, "qint32": 4, "quint4x2": 0.5, "quint2x4": 0.25,
}  # fmt: skip

#: Stands for a float whose value is not kept, since no formula depends on it: an epsilon, a learning rate.
FLOAT = "<float>"
#: A recorded number: its value, or ``FLOAT``.
Number = int | float | str
#: A recorded argument: a tensor, a list, or a plain value. None is an argument that was not given.
Value = TensorSpec | tuple["Value", ...] | bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class OpRecord:
    """All calls of one operator on the same shapes, by the same module, in the same phase."""

    #: Qualified name with the overload: ``aten.convolution.default``.
    operator: str
    #: Dotted path of the module whose forward called it; the root is "".
    module: str
    phase: Phase
    #: Pairs of schema name and value, with defaults filled in.
    arguments: tuple[tuple[str, Value], ...]
    results: tuple[Value, ...]
    calls: int
    #: Names of the arguments that the operator mutates in place.
    mutated: tuple[str, ...] = ()
    #: Positions of the results that alias an argument: a view of it, or the mutated argument itself.
    aliases: tuple[int, ...] = ()

    @property
    def packet(self) -> str:
        """The operator name without its overload: ``aten.convolution``. A class that is counted whole has none."""
        if self.operator.startswith("class:"):
            return self.operator
        return self.operator.rpartition(".")[0] if self.operator.count(".") > 1 else self.operator


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one operator call, as its formula returns it.

    ``masked_macs`` is None if no mask applies; it then equals ``macs``. ``bytes_read`` and ``bytes_written`` are None
    if the default applies: each operand is read once, and each result is written once.
    """

    macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    masked_macs: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None


def tensors(value: Value) -> list[TensorSpec]:
    """Return the tensors in an argument, including those in nested lists."""
    if isinstance(value, TensorSpec):
        return [value]
    if isinstance(value, tuple):
        return [spec for item in value if isinstance(item, tuple) for spec in tensors(item)]
    return []
