"""The figures of a pass on a device, each with its kind and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler import units
from profiler.projection.device_memory import USABLE, memory_needed, usable_bytes
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.demand import Demand
    from profiler.projection.device_pass import DevicePass


def time_figures(device_pass: DevicePass) -> dict[str, Any]:
    """Return the estimate, its range, and what follows from it without a required rate."""
    estimate, source = device_pass.estimate, device_pass.model.source
    held = "range that held 90 % of comparable measurements"
    return {
        "estimate_s": Figure(estimate.seconds, "estimate", source),
        "estimate_low_s": None if estimate.low_s is None else Figure(estimate.low_s, "estimate", held),
        "estimate_high_s": None if estimate.high_s is None else Figure(estimate.high_s, "estimate", held),
        "limit": Figure(estimate.limit, "estimate", _limit_source(device_pass)),
        "max_fps": Figure(1 / estimate.seconds, "estimate", "1 ÷ estimate: one pass at a time"),
    }


def demand_figures(device_pass: DevicePass, demand: Demand) -> dict[str, Any]:
    """Return the utilisation, and the figures that depend on the required rate; none of these without a rate."""
    utilisation = demand.utilisation_of(device_pass)
    flops = device_pass.profile.totals.flops
    implied = f"{flops:,} operations ÷ (estimate × peak)"
    figures = {"utilisation": Figure(utilisation, "estimate", implied if demand.utilisation is None else "as given")}
    if demand.fps is None:
        return figures
    product = f"{flops:,} operations × {demand.fps:g}/s"
    tops = flops * demand.fps / utilisation / 1e12 if utilisation else 0.0
    return figures | {
        "fps": Figure(demand.fps, "bound", "as given"),
        "required_ops_per_s": Figure(flops * demand.fps, "bound", product),
        "required_tops": Figure(tops, "estimate", f"{product} ÷ {utilisation:.3g}"),
        "headroom": Figure(1 / (device_pass.estimate.seconds * demand.fps), "estimate", "1 ÷ (estimate × rate)"),
    }


def memory_figures(device_pass: DevicePass) -> dict[str, Any]:
    """Return the memory that a pass needs, and its share of the device's."""
    device = device_pass.device
    memory, usable = memory_needed(device_pass.profile, device_pass.scheme), usable_bytes(device)
    source = f"of {USABLE:.1%} of {device.memory_gib:g} GiB" if usable else ""
    share = None if usable is None else Figure(int(memory.value) / usable, memory.kind, source)
    return {"memory": memory, "memory_share": share}


def precision_figure(device_pass: DevicePass, requested: str | None) -> Figure:
    """Return the precision, and how it was chosen."""
    scheme = device_pass.scheme
    source = "as given" if requested else "of most of the model's MACs"
    if scheme.compute != scheme.name:
        source += f"; {scheme.weights} weights, {scheme.activations} activations, computed in {scheme.compute}"
    return Figure(scheme.name, "bound", source)


def bandwidth_figure(device: Device) -> Figure | None:
    """Return the bandwidth of a device; None if it is unknown."""
    bandwidth = device.bandwidth_bytes_per_s
    return None if bandwidth is None else Figure(bandwidth, "bound", device.cite("bandwidth"))


def bound_source(device_pass: DevicePass) -> str:
    """Return the two times of which the bound is the larger."""
    device, bound = device_pass.device, device_pass.bound
    compute = f"compute {units.seconds(bound.compute_s)}"
    if device.bandwidth_bytes_per_s is None:
        return f"{compute}; the bandwidth is not known"
    memory = f"{device_pass.compulsory_bytes:,} compulsory bytes {units.seconds(bound.memory_s)}"
    return f"larger of {compute} and {memory}"


def _limit_source(device_pass: DevicePass) -> str:
    """Return where most of the time goes: "61% of the estimate is memory traffic of pointwise operators"."""
    estimate = device_pass.estimate
    if not estimate.shares:
        return "the estimate is the bound"
    largest = estimate.shares[0]
    names = {"compute": "arithmetic", "bandwidth": "memory traffic", "launches": "the launching"}
    total = sum(share.seconds for share in estimate.shares)
    operators = "all operators" if largest.class_ == "all operators" else f"{largest.class_} operators"
    return f"{largest.seconds / total:.0%} of the estimate is {names[largest.resource]} of {operators}"


def energy_figure(device_pass: DevicePass) -> Figure | None:
    """Return the energy of a pass: the rated power of the device for the estimated time."""
    device = device_pass.device
    if device.power_w is None:
        return None
    source = f"{device.power_w:g} W for the whole estimate"
    return Figure(device.power_w * device_pass.estimate.seconds, "estimate", source)


def projection_notes(device_pass: DevicePass) -> tuple[str, ...]:
    """Return the caveats of a device and of a profile that apply to all figures."""
    device = device_pass.device
    notes = [f"{device.id}: {device.note}"] if device.note else []
    if device.confidence == "low":
        notes.append(f"{device.id}: its figures are of low confidence")
    if device.int8_engines and device_pass.scheme.compute == "int8":
        engines = ", ".join(f"{name} {rate / 1e12:g}" for name, rate in device.int8_engines.items())
        notes.append(f"{device.id}: the int8 peak is the sum of several engines, in TOPS: {engines}")
    precision = device_pass.scheme.compute
    if device_pass.peak_ops_per_s > device.peak(precision):
        how = "summed in fp16" if precision in device.fp16_sum_ops_per_s else "computed in fp32"
        notes.append(
            f"{device.id}: products of {precision} are {how}; the listed rate is {device.peak(precision) / 1e12:g} TOPS"
        )
    if _runs_in_tf32(device_pass):
        notes.append(
            f"PyTorch computes convolutions of float32 in TF32 on {device.id}, and may beat the bound, unless "
            "torch.backends.cudnn.allow_tf32 is False: see --precision tf32"
        )
    elif _may_multiply_less(device_pass):
        notes.append(
            f"convolutions of float32 may beat the bound on {device.id}: Winograd's algorithm takes 4 of 9 of the "
            "multiplications of a 3×3 kernel"
        )
    notes += device_pass.estimate.caveats
    if not device_pass.profile.is_complete:
        notes.append("some operators are not counted, so every requirement is a lower bound")
    return tuple(notes)


def _runs_in_tf32(device_pass: DevicePass) -> bool:
    """Return whether PyTorch would run convolutions in TF32 that are projected in fp32.

    Source: torch.backends.cudnn.conv.fp32_precision is "tf32" by default.
    """
    has_tf32 = "tf32" in device_pass.device.peak_ops_per_s
    return has_tf32 and any(work.precision == "fp32" and work.is_convolution for work in device_pass.works)


def _may_multiply_less(device_pass: DevicePass) -> bool:
    """Return whether convolutions may run by an algorithm with fewer multiplications than are counted.

    Source: VGG-16 in float32 on a GTX 1080 Ti takes 0.9 of its bound (docs/measured). A. Lavin and S. Gray, "Fast
    Algorithms for Convolutional Neural Networks" (2015): F(2×2, 3×3) has 16 multiplications for 36.
    """
    is_gpu = device_pass.device.kind.endswith("GPU")
    return is_gpu and any(work.precision == "fp32" and work.class_ == "conv" for work in device_pass.works)
