"""What was observed of the operators that ran, and what one of them costs.

A record is inert: no tensor, no module and no torch type is in it, so that it can be saved and read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Shape = tuple[int, ...]
Phase = Literal["forward", "backward", "recompute", "optimizer"]
#: The path of work that ran outside every call of the model.
OUTSIDE = "(outside)"
PHASES: tuple[Phase, ...] = ("forward", "backward", "recompute", "optimizer")


class TensorSpec(NamedTuple):
    """What was observed of a tensor operand or result.

    A named tuple and not a dataclass: each operator call hashes several of them, in the model's own time.
    """

    shape: Shape
    dtype: str
    #: Stored elements behind it: a dimension expanded with stride 0 counts once, a sparse tensor its non-zeros.
    elements: int
    #: "strided", "sparse_coo", "sparse_csr", "nested" …
    layout: str = "strided"
    #: The values of a small integer tensor on which the work depends (offsets, sequence lengths).
    values: tuple[int, ...] | None = None
    #: Of a mask whose values were there: how many of its elements let their score through.
    kept: int | None = None

    @property
    def itemsize(self) -> int | float:
        """Bytes of an element (half a byte for a packed 4-bit one)."""
        return ITEMSIZE[self.dtype]

    @property
    def bytes(self) -> int:
        """Bytes of the stored elements."""
        return int(self.elements * self.itemsize)

    @property
    def is_complex(self) -> bool:
        """Whether an element has an imaginary part."""
        return self.dtype.startswith("complex")

    @property
    def is_floating(self) -> bool:
        """Whether arithmetic on it is floating-point (real or complex)."""
        return self.dtype.startswith(("float", "bfloat", "complex"))


#: Bytes of an element by dtype name. Source: torch.dtype.itemsize; the 4-bit ones are packed two to a byte.
ITEMSIZE: dict[str, int | float] = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex32": 4, "complex64": 8, "complex128": 16,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1, "quint8": 1, "qint8": 1, "qint32": 4, "quint4x2": 0.5, "quint2x4": 0.25,
}  # fmt: skip

#: An observed argument: a tensor, a list, or a plain value. A float that no formula can depend on is None.
Value = TensorSpec | tuple["Value", ...] | bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class OpRecord:
    """One distinct piece of work: an operator on these shapes, for this module, in this phase."""

    #: Qualified, with its overload: ``aten.convolution.default``.
    operator: str
    #: Dotted path of the module whose forward ran it; the root is "".
    module: str
    phase: Phase
    #: By the names of the operator's schema, defaults filled in.
    arguments: tuple[tuple[str, Value], ...]
    results: tuple[Value, ...]
    calls: int
    #: Names of the arguments that it overwrites.
    mutated: tuple[str, ...] = ()
    #: Positions of the results that are views of an argument, or the overwritten argument itself.
    aliases: tuple[int, ...] = ()

    @property
    def packet(self) -> str:
        """The operator without its overload: ``aten.convolution``."""
        return self.operator.rpartition(".")[0] if self.operator.count(".") > 1 else self.operator


@dataclass(frozen=True, slots=True)
class Cost:
    """What a formula says of one call.

    ``masked_macs`` is None where no mask applies (then it equals ``macs``); the bytes are None where the rule holds:
    each operand read once, each result written once.
    """

    macs: int = 0
    other_flops: int = 0
    transcendentals: int = 0
    masked_macs: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None


def tensors(value: Value) -> list[TensorSpec]:
    """List the tensors in an argument, however deep."""
    if isinstance(value, TensorSpec):
        return [value]
    if isinstance(value, tuple):
        return [spec for item in value for spec in tensors(item)]
    return []
