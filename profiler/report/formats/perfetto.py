"""A trace for Perfetto and ``chrome://tracing``: modules and operators as nested slices, and counters of live memory.

Source: Trace Event Format, https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profiler.escaping import plain, shorten
from profiler.report.profile_formats import PROFILE_FORMATS
from profiler.report.slices import FLOPS_PER_NS, slices
from profiler.values.records import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from profiler.report.report import Report
    from profiler.report.slices import Slice
    from profiler.tally import Profile

_NS_PER_US = 1000
_LONGEST = 300
_PROCESS = 1


@PROFILE_FORMATS.register("perfetto")
def perfetto(report: Report) -> str:
    """Return a JSON trace that ui.perfetto.dev opens; one event a line."""
    profile = report.profile
    calls = slices(profile)
    events = [_name(report), *_modules(calls), *map(_operator, calls), *_memory(profile, calls)]
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    return f'{{"displayTimeUnit": "ns", "traceEvents": [\n{lines}\n]}}\n'


def _name(report: Report) -> dict[str, Any]:
    """Return the event that names the process, and says what the axis is."""
    projection = report.profile.projection
    rate = f"{FLOPS_PER_NS} FLOPs are drawn as 1 ns: this is not time; add --on DEVICE for estimated times"
    axis = rate if projection is None else f"estimated time on {projection.device.value}"
    args = {"name": f"{shorten(plain(report.title), _LONGEST)}: {axis}"}
    return {"name": "process_name", "ph": "M", "pid": _PROCESS, "tid": 1, "args": args}


def _modules(calls: Iterable[Slice]) -> Iterator[dict[str, Any]]:
    """Yield a slice for every stretch of consecutive calls within a module."""
    opened: list[tuple[str, int]] = []
    end = 0
    for call in calls:
        paths = _ancestors(call.entry.record.module)
        shared = _shared([path for path, _ in opened], paths)
        for path, start in reversed(opened[shared:]):
            yield _slice(path, start, end, {})
        opened = [*opened[:shared], *((path, call.start_ns) for path in paths[shared:])]
        end = call.end_ns
    for path, start in reversed(opened):
        yield _slice(path, start, end, {})


def _ancestors(path: str) -> list[str]:
    if path in {"", OUTSIDE}:
        return []
    parts = path.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _shared(first: list[str], second: list[str]) -> int:
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def _operator(call: Slice) -> dict[str, Any]:
    entry, calls = call.entry, call.calls
    args = {
        "module": shorten(plain(entry.record.module), _LONGEST), "phase": entry.record.phase, "calls": calls,
        "macs": calls * entry.macs, "flops": calls * entry.flops,
        "bytes": calls * (entry.bytes_read + entry.bytes_written),
    }  # fmt: skip
    return _slice(entry.record.operator, call.start_ns, call.end_ns, args)


def _slice(name: str, start_ns: int, end_ns: int, args: dict[str, Any]) -> dict[str, Any]:
    short = shorten(plain(name), _LONGEST)
    times = {"ts": start_ns / _NS_PER_US, "dur": (end_ns - start_ns) / _NS_PER_US}
    return {"name": short, "ph": "X", "pid": _PROCESS, "tid": 1, **times, "args": args}


def _memory(profile: Profile, calls: list[Slice]) -> Iterator[dict[str, Any]]:
    """Yield the live bytes by category, each moment at the end of the call that it follows.

    Moments and calls are in the same order, so a moment belongs to the next call of its operator in its module.
    """
    at, position = 0, 0
    for moment in profile.memory.timeline if profile.memory else ():
        key = (moment.module, moment.operator, moment.phase)
        matches = (i for i in range(position, len(calls)) if _key(calls[i]) == key)
        found = next(matches, None)
        if found is not None:
            at, position = calls[found].end_ns, found
        args = {name: size for name, size in moment.bytes.items() if name != "total"}
        yield {"name": "live bytes", "ph": "C", "pid": _PROCESS, "ts": at / _NS_PER_US, "args": args}


def _key(call: Slice) -> tuple[str, str, str]:
    record = call.entry.record
    return record.module, record.operator, record.phase
