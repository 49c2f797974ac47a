"""Precisions: the ones in which weights and activations are stored, and the one in which the device computes.

    int8           weights and activations in int8, arithmetic in int8
    int8-weights   weights in int8; activations and arithmetic in 16 bits

A requested precision that the device lacks is an error. Only weights-only precisions and the what-if table fall back to
a wider arithmetic, and name it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from profiler.errors import DeviceError, UnknownNameError

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.tally import Profile

#: Bytes of a stored element.
STORED_BYTES: dict[str, float] = {
    "fp64": 8, "fp64_tensor": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1,
    "int4": 0.5, "fp4": 0.5,
}  # fmt: skip
#: The precision in which an operator computes, by the dtype of its record.
PRECISION_OF_DTYPE: dict[str, str] = {
    "float64": "fp64", "complex128": "fp64", "float32": "fp32", "complex64": "fp32", "bfloat16": "bf16",
    "float16": "fp16", "complex32": "fp16", "float8_e4m3fn": "fp8", "float8_e5m2": "fp8", "float8_e4m3fnuz": "fp8",
    "float8_e5m2fnuz": "fp8", "float4_e2m1fn_x2": "fp4", "int8": "int8", "uint8": "int8", "qint8": "int8",
    "quint8": "int8", "quint4x2": "int4",
}  # fmt: skip
_WEIGHTS_ONLY = "-weights"
_NARROW = ("fp8", "int8", "int4", "fp4")
#: The wider precisions that can stand in for one that a device lacks, nearest first.
_WIDER = {
    "fp4": ("fp8", "bf16", "fp16", "fp32"), "int4": ("int8", "bf16", "fp16", "fp32"), "fp8": ("bf16", "fp16", "fp32"),
    "int8": ("bf16", "fp16", "fp32"), "fp16": ("bf16", "fp32"), "bf16": ("fp16", "fp32"), "tf32": ("fp32",),
}  # fmt: skip
#: The precisions of the what-if table.
WHAT_IFS = ("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "int4", "fp8-weights", "int8-weights", "int4-weights")


@dataclass(frozen=True, slots=True)
class PrecisionScheme:
    """The precisions of weights, activations and arithmetic."""

    name: str
    weights: str
    activations: str
    compute: str
    #: Whether the floating-point tensors of the model are converted. If not, each operator keeps its own precision.
    converts: bool = True
    #: Whether activations stay narrow between operators, as in an inference engine.
    stays_narrow: bool = False

    @property
    def quantises(self) -> bool:
        """Whether activations are quantised before each contraction."""
        return self.converts and self.activations in _NARROW

    @property
    def activation_bytes(self) -> float:
        """Bytes of an activation between operators: contractions in 8 or 4 bits return 16-bit results in PyTorch."""
        return 2 if self.activations in _NARROW and not self.stays_narrow else STORED_BYTES[self.activations]


def choose_precision(profile: Profile, device: Device, precision: str | None) -> PrecisionScheme:
    """Return the scheme named *precision*; if None, the precision of most of the model's MACs, without conversion.

    Raises:
        UnknownNameError: There is no such precision.
        DeviceError: The device lacks it; the message lists the precisions that it has.
    """
    if precision is None:
        own = _main_precision(profile)
        device.peak(own)
        return PrecisionScheme(own, own, own, own, converts=False)
    scheme = parse_precision(precision)
    if precision.endswith(_WEIGHTS_ONLY):
        return fall_back(scheme, device)
    device.peak(scheme.compute)
    return scheme


def parse_precision(name: str) -> PrecisionScheme:
    """Return the scheme of a name such as ``int8`` or ``int8-weights``.

    Raises:
        UnknownNameError: There is no such precision.

    Example:
        >>> scheme = parse_precision("int4-weights")
        >>> scheme.weights, scheme.activations, scheme.compute
        ('int4', 'bf16', 'bf16')
    """
    weights = name.removesuffix(_WEIGHTS_ONLY)
    from profiler.devices import PRECISIONS  # noqa: PLC0415 - the catalogue takes pydantic

    if weights not in PRECISIONS or (weights != name and weights not in _NARROW):
        kind = "precision"
        raise UnknownNameError(kind, name, [*PRECISIONS, *(f"{p}{_WEIGHTS_ONLY}" for p in _NARROW)])
    others = weights if weights == name else "bf16"
    return PrecisionScheme(name, weights, others, others)


def fall_back(scheme: PrecisionScheme, device: Device) -> PrecisionScheme:
    """Return *scheme* with its arithmetic in the nearest wider precision that the device has.

    Raises:
        DeviceError: The device has none of them.
    """
    candidates = (scheme.compute, *_WIDER.get(scheme.compute, ()))
    compute = next((p for p in candidates if p in device.peak_ops_per_s), None)
    if compute is None:
        available = ", ".join(device.peak_ops_per_s) or "none"
        msg = f"{device.id} has no dense rate in any of {', '.join(candidates)}; it has {available}"
        raise DeviceError(msg)
    activations = scheme.activations if STORED_BYTES[scheme.activations] <= STORED_BYTES[compute] else compute
    return replace(scheme, compute=compute, activations=activations)


def _main_precision(profile: Profile) -> str:
    """Return the precision of the dtype with the most MACs; without MACs, of the dtype with the most parameters."""
    macs: dict[str, int] = {}
    for entry in profile.entries:
        if entry.dtype in PRECISION_OF_DTYPE:
            macs[entry.dtype] = macs.get(entry.dtype, 0) + entry.macs * entry.record.calls
    dtype = max(macs, key=lambda d: macs[d], default="float32")
    if not macs.get(dtype) and profile.params_by_dtype:
        dtype = max(profile.params_by_dtype, key=lambda row: row[1])[0]
    return PRECISION_OF_DTYPE.get(dtype, "fp32")
