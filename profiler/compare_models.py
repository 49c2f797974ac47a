"""``compare()``: several models in one table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from profiler.devices import find_device
from profiler.errors import DeviceError, InputError, ProfilerError
from profiler.escaping import message_line
from profiler.projection import project
from profiler.report.comparisons import Comparison
from profiler.run.forward import count
from profiler.tally import Profile
from profiler.values.comparison import ModelRow
from profiler.values.findings import TOTAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from profiler.devices import Device
    from profiler.values.projection import Projection

#: A model, its positional arguments, and if needed its keyword arguments.
Call = tuple[Any, ...]
_LENGTHS_OF_CALL = range(1, 4)


def compare(
    models: Mapping[str, Profile | Call], *, on: Sequence[str] = (), precision: str | None = None
) -> Comparison:
    """Return a table of several models: what a forward pass of each costs.

    A model that raises is a row with its error.

    Args:
        models: By name: a profile, or a tuple of a model and its arguments, ``(model, args)`` or
            ``(model, args, kwargs)``.
        on: Names of devices; adds the estimated time of a pass on each.
        precision: The precision of these estimates; by default the model's own.

    Raises:
        UnknownNameError: There is no such device.
        InputError: An entry is neither a profile nor such a tuple.

    Example:
        >>> import profiler, torch
        >>> x = torch.empty(1, 64, device="meta")
        >>> models = {str(n): (torch.nn.Linear(64, n, device="meta"), (x,)) for n in (10, 100)}
        >>> [row.macs for row in profiler.compare(models).rows]
        [640, 6400]
    """
    devices = [find_device(name) for name in on]
    for name, entry in models.items():
        if not isinstance(entry, Profile) and not (isinstance(entry, tuple) and len(entry) in _LENGTHS_OF_CALL):
            msg = f"{name!r} is neither a profile nor (model, args) or (model, args, kwargs)"
            raise InputError(msg)
    counted = [counted_row(name, partial(_profile, entry), devices, precision) for name, entry in models.items()]
    return Comparison(tuple(row for row, _ in counted), tuple(profile for _, profile in counted))


def counted_row(
    name: str,
    make: Callable[[], Profile],
    devices: Sequence[Device] = (),
    precision: str | None = None,
    accuracy: float | None = None,
) -> tuple[ModelRow, Profile | None]:
    """Return the row of a model, and its profile with the first projection; the row has the error if *make* raises.

    Args:
        name: What to call the model.
        make: Return its profile, with the findings of peers if any were asked.
        devices: Devices to estimate the time of a pass on.
        precision: The precision of the estimates; by default the model's own.
        accuracy: Its published accuracy, in percent.
    """
    try:
        profile = make()
    except ProfilerError as error:
        return ModelRow(name, error=message_line(str(error))), None
    projections = [_projection(profile, device, precision) for device in devices]
    row = ModelRow(
        name,
        params=profile.totals.params,
        macs=profile.totals.macs,
        flops=profile.totals.flops,
        is_complete=profile.is_complete,
        param_bytes=profile.param_bytes,
        peak_bytes=profile.totals.peak_memory.get("total"),
        accuracy=accuracy,
        peers=tuple((f.claim.source, f.claim.unit, f.claim.claimed) for f in _totals(profile)),
        seconds=tuple((device.id, _seconds(p)) for device, p in zip(devices, projections, strict=True)),
    )
    return row, replace(profile, projection=next(filter(None, projections), profile.projection))


def _profile(entry: Profile | Call) -> Profile:
    if isinstance(entry, Profile):
        return entry
    return _count_call(*entry)


def _count_call(model: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Profile:
    return count(model, *args, **(kwargs or {}))


def _totals(profile: Profile) -> list[Any]:
    return [finding for finding in profile.findings if finding.claim.subject == TOTAL and not finding.claim.id]


def _projection(profile: Profile, device: Device, precision: str | None) -> Projection | None:
    """Return the projection of a pass; None if the device lacks the precision."""
    try:
        return project(profile, device, precision=precision)
    except DeviceError:
        return None


def _seconds(projection: Projection | None) -> float | None:
    return None if projection is None else float(projection.estimate_s.value)
