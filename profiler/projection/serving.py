"""A language model in service: memory, latency and rate for a number of users, and how many fit.

Each user's sequence has a context (prompt) and grows by the tokens that are generated. A decoding step makes one token
for every user; it is projected at the middle of the generation, and so is the key-value cache that it reads. The time
to the first token is that of one user's prefill, of which only the last position's logits are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.projection.device_memory import usable_bytes
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.model_bytes import activation_bytes, weight_bytes
from profiler.projection.precision import STORED_BYTES, PrecisionScheme, choose_precision
from profiler.values.projection import Figure

if TYPE_CHECKING:
    from profiler.devices import Device
    from profiler.projection.mode import Mode
    from profiler.tally import Profile

_HOUR_S, _MILLION = 3600, 10**6


@dataclass(frozen=True, slots=True)
class Service:
    """What is asked: users at once, tokens of their context, tokens that are generated for each."""

    users: int
    context: int
    output_tokens: int
    #: Precision of the key-value cache; None for that of the activations.
    kv_precision: str | None = None
    #: Price of the device for an hour; None if it is not known.
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class CountedService:
    """A service with the profiles of its passes."""

    service: Service
    #: One user's prompt, with the logits of its last position.
    prefill: Profile
    #: One decoding step of all users, in the middle of the generation.
    step: Profile
    #: Elements of the key-value cache of one token of one user.
    cache_elements_per_token: float


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """A service on one device. Bytes and seconds; a range is None if nothing was compared."""

    device: str
    precision: str
    mode: str
    weights: Figure
    kv_cache: Figure
    workspace: Figure
    #: What is left of the usable memory; negative if the service does not fit; None if the memory is unknown.
    free: Figure | None
    first_token_s: Figure
    first_token_range_s: tuple[float, float] | None
    token_s: Figure
    token_range_s: tuple[float, float] | None
    tokens_per_s_per_user: Figure
    tokens_per_s: Figure
    largest_users: Figure | None
    longest_context: Figure | None
    price_per_million_tokens: Figure | None
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the device has the memory, as far as that is known."""
        return self.free is None or int(self.free.value) >= 0


def plan_service(
    counted: CountedService, device: Device, *, precision: str | None = None, mode: Mode = "deployed"
) -> ServingPlan:
    """Plan a service on a device.

    Args:
        counted: The service with its profiles.
        device: The device.
        precision: As for ``project``.
        mode: As for ``project``; servers merge kernels and replay them without the host, as in "deployed".

    Raises:
        UnknownNameError: There is no such precision.
        DeviceError: The device lacks the precision.
    """
    service = counted.service
    scheme = choose_precision(counted.step, device, precision)
    prefill = DevicePass.of(ProfileWork(counted.prefill), device, scheme, mode=mode)
    step = DevicePass.of(ProfileWork(counted.step), device, scheme, mode=mode)
    token_bytes = counted.cache_elements_per_token * STORED_BYTES[service.kv_precision or scheme.activations]
    weights = weight_bytes(counted.step, scheme)
    workspace = max(activation_bytes(profile, scheme) for profile in (counted.prefill, counted.step))
    token_s = step.estimate.seconds + _cache_difference_s(counted, device, scheme, token_bytes)
    rate = service.users / token_s
    return ServingPlan(
        device=device.id,
        precision=scheme.name,
        mode=mode,
        weights=Figure(weights, "bound", f"every parameter in {scheme.weights}"),
        kv_cache=Figure(_cache_bytes(service, token_bytes), "bound", _cache_source(service, token_bytes)),
        workspace=Figure(workspace, "bound", "the operator with the most operands and results; engines reserve more"),
        **_memory(service, device, weights + workspace, token_bytes),
        first_token_s=Figure(prefill.estimate.seconds, "estimate", "prefill of one user's context, none waiting"),
        first_token_range_s=_range(prefill, prefill.estimate.seconds),
        token_s=Figure(token_s, "estimate", "a step of all users, in the middle of the generation"),
        token_range_s=_range(step, token_s),
        tokens_per_s_per_user=Figure(1 / token_s, "estimate", "1 ÷ time per token"),
        tokens_per_s=Figure(rate, "estimate", f"{service.users} users × tokens/s of each"),
        price_per_million_tokens=_price(service, rate),
        notes=tuple(dict.fromkeys((*step.estimate.caveats, *prefill.estimate.caveats))),
    )


def _cache_bytes(service: Service, token_bytes: float) -> int:
    return int(service.users * (service.context + service.output_tokens) * token_bytes)


def _cache_source(service: Service, token_bytes: float) -> str:
    tokens = service.context + service.output_tokens
    return f"{service.users} users × {tokens:,} tokens × {token_bytes:,.0f} bytes, at the end of the generation"


def _memory(service: Service, device: Device, fixed: int, token_bytes: float) -> dict[str, Figure | None]:
    """Return what is left of the memory, and how many users or tokens of context would fit."""
    usable = usable_bytes(device)
    if usable is None or not token_bytes:
        return {"free": None, "largest_users": None, "longest_context": None}
    room = (usable - fixed) / token_bytes
    tokens = service.context + service.output_tokens
    users, context = int(max(room // tokens, 0)), int(max(room // service.users - service.output_tokens, 0))
    return {
        "free": Figure(int(usable - fixed - _cache_bytes(service, token_bytes)), "estimate", "of the usable memory"),
        "largest_users": Figure(users, "estimate", f"whose caches of {tokens:,} tokens fit"),
        "longest_context": Figure(context, "estimate", f"tokens that fit for {service.users} users"),
    }


def _cache_difference_s(counted: CountedService, device: Device, scheme: PrecisionScheme, token_bytes: float) -> float:
    """Return by how much reading the cache in its own precision is faster than in that of the activations."""
    service, bandwidth = counted.service, device.bandwidth_bytes_per_s
    if service.kv_precision is None or not bandwidth:
        return 0.0
    wide = counted.cache_elements_per_token * scheme.activation_bytes
    tokens = service.users * (service.context + service.output_tokens // 2)
    return tokens * (token_bytes - wide) / bandwidth


def _range(device_pass: DevicePass, seconds: float) -> tuple[float, float] | None:
    estimate = device_pass.estimate
    if estimate.low_s is None or estimate.high_s is None:
        return None
    ratio = seconds / estimate.seconds
    return estimate.low_s * ratio, estimate.high_s * ratio


def _price(service: Service, tokens_per_s: float) -> Figure | None:
    if service.price_per_hour is None:
        return None
    price = service.price_per_hour / _HOUR_S / tokens_per_s * _MILLION
    return Figure(price, "estimate", f"{service.price_per_hour:g} an hour, always at {service.users} users")
