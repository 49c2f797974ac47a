"""In which precision weights and activations are stored, and in which the device then computes.

    int8           weights and activations in int8, computed in int8
    int8-weights   weights in int8; activations and arithmetic in 16 bits

A precision that the device lacks is an error. Only the table of what-ifs falls back, and says to what.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.devices import PRECISIONS, Device
from profiler.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    from profiler.tally import Profile

#: Bytes of an element in store.
STORED_BYTES: dict[str, float] = {
    "fp64": 8, "fp64_tensor": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1,
    "int4": 0.5, "fp4": 0.5,
}  # fmt: skip
#: What an operator computes in, by the dtype of its record.
PRECISION_OF_DTYPE: dict[str, str] = {
    "float64": "fp64", "complex128": "fp64", "float32": "fp32", "complex64": "fp32", "bfloat16": "bf16",
    "float16": "fp16", "complex32": "fp16", "float8_e4m3fn": "fp8", "float8_e5m2": "fp8", "float8_e4m3fnuz": "fp8",
    "float8_e5m2fnuz": "fp8", "float4_e2m1fn_x2": "fp4", "int8": "int8", "uint8": "int8", "qint8": "int8",
    "quint8": "int8", "quint4x2": "int4",
}  # fmt: skip
_WEIGHTS = "-weights"
_NARROW = ("fp8", "int8", "int4", "fp4")
#: What arithmetic in a precision widens to, nearest first.
_WIDER = {
    "fp4": ("fp8", "bf16", "fp16", "fp32"), "int4": ("int8", "bf16", "fp16", "fp32"), "fp8": ("bf16", "fp16", "fp32"),
    "int8": ("bf16", "fp16", "fp32"), "fp16": ("bf16", "fp32"), "bf16": ("fp16", "fp32"), "tf32": ("fp32",),
}  # fmt: skip
WHAT_IFS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp8-weights", "int8-weights", "int4-weights")


@dataclass(frozen=True, slots=True)
class PrecisionScheme:
    """One choice of precisions."""

    name: str
    weights: str
    activations: str
    compute: str
    #: Whether what the model has in floating point is converted; otherwise each operator keeps its own precision.
    converts: bool = True

    @property
    def quantises(self) -> bool:
        """Whether activations have to be made narrower before each contraction."""
        return self.converts and self.activations in _NARROW

    @property
    def activation_bytes(self) -> float:
        """Bytes of an activation between operators: contractions in 8 or 4 bits sum and hand on in 16."""
        return 2 if self.activations in _NARROW else STORED_BYTES[self.activations]


def choose(profile: Profile, device: Device, precision: str | None) -> PrecisionScheme:
    """Read the name of a scheme; without one, take the precision in which the model does most of its work.

    Raises:
        UnknownNameError: There is no such precision.
        DeviceError: The device lacks it; the message lists those that it has.
    """
    if precision is None:
        native = _native(profile)
        device.peak(native)
        return PrecisionScheme(native, native, native, native, converts=False)
    scheme = parse(precision)
    if precision.endswith(_WEIGHTS):
        return falling_back(scheme, device)
    device.peak(scheme.compute)
    return scheme


def parse(name: str) -> PrecisionScheme:
    """Read the name of a scheme.

    Example:
        >>> parse("int4-weights")
        PrecisionScheme(name='int4-weights', weights='int4', activations='bf16', compute='bf16', converts=True)
    """
    stem = name.removesuffix(_WEIGHTS)
    if stem not in PRECISIONS or (stem != name and stem not in _NARROW):
        kind = "precision"
        raise UnknownNameError(kind, name, [*PRECISIONS, *(f"{p}{_WEIGHTS}" for p in _NARROW)])
    rest = stem if stem == name else "bf16"
    return PrecisionScheme(name, stem, rest, rest)


def falling_back(scheme: PrecisionScheme, device: Device) -> PrecisionScheme:
    """Let the device compute in the nearest wider precision that it has, where it lacks the one asked for.

    Raises:
        DeviceError: It has none of them.
    """
    tried = (scheme.compute, *_WIDER.get(scheme.compute, ()))
    found = next((p for p in tried if p in device.peak_ops_per_s), None)
    if found is None:
        msg = f"{device.id} computes in none of {', '.join(tried)}; it has {', '.join(device.peak_ops_per_s) or 'none'}"
        raise DeviceError(msg)
    activations = scheme.activations if STORED_BYTES[scheme.activations] <= STORED_BYTES[found] else found
    return replace(scheme, compute=found, activations=activations)


def _native(profile: Profile) -> str:
    """Name the precision of the dtype with the most MACs; of the parameters, where there are none."""
    macs: dict[str, int] = {}
    for entry in profile.entries:
        if entry.dtype in PRECISION_OF_DTYPE:
            macs[entry.dtype] = macs.get(entry.dtype, 0) + entry.macs * entry.record.calls
    dtype = max(macs, key=lambda d: macs[d], default="float32")
    if not macs.get(dtype) and profile.params_by_dtype:
        dtype = max(profile.params_by_dtype, key=lambda row: row[1])[0]
    return PRECISION_OF_DTYPE.get(dtype, "fp32")
