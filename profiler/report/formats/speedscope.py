"""A flame graph for speedscope: modules and operators, weighted by MACs, FLOPs, bytes or estimated seconds.

Source: https://www.speedscope.app/file-format-schema.json
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profiler.escaping import plain, shorten
from profiler.report.page.time_by_module import seconds_by_entry
from profiler.report.profile_formats import PROFILE_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profiler.report.report import Report
    from profiler.tally import Entry, Profile

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_LONGEST = 300

#: The modules that lead to an operator, outermost first, and the operator: numbers of frames.
Stack = tuple[int, ...]


@PROFILE_FORMATS.register("speedscope")
def speedscope(report: Report) -> str:
    """Return a file that speedscope.app opens; each measure is a profile in it."""
    profile = report.profile
    frames: dict[str, int] = {}
    stacks = [_stack(profile, entry, frames) for entry in profile.entries]
    seconds = {id(entry): value for entry, value in seconds_by_entry(profile)}
    measures: dict[str, tuple[str, list[float]]] = {
        "MACs": ("none", [e.record.calls * e.macs for e in profile.entries]),
        "FLOPs": ("none", [e.record.calls * e.flops for e in profile.entries]),
        "bytes moved": ("bytes", [e.record.calls * (e.bytes_read + e.bytes_written) for e in profile.entries]),
        "estimated time": ("seconds", [seconds.get(id(e), 0) for e in profile.entries]),
    }
    document = {
        "$schema": _SCHEMA,
        "name": shorten(plain(report.title), _LONGEST),
        "exporter": "profiler",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [
            _sampled(name, unit, dict(_sums(stacks, weights)))
            for name, (unit, weights) in measures.items()
            if any(weights) or name == "MACs"
        ],
    }
    return json.dumps(document, indent=None, separators=(",", ":")) + "\n"


def _stack(profile: Profile, entry: Entry, frames: dict[str, int]) -> Stack:
    """Return the stack of an entry; frames that are new are added."""
    path = entry.record.module
    parts = path.split(".") if path else []
    paths = ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]
    names = [*(_module(profile, path) for path in paths), entry.record.packet]
    return tuple(frames.setdefault(name, len(frames)) for name in names)


def _module(profile: Profile, path: str) -> str:
    node = profile.nodes.get(path)
    kind = node.module.type if node is not None else ""
    name = shorten(plain(path), _LONGEST)
    return f"{name} ({shorten(plain(kind), _LONGEST)})" if name and kind else name or plain(kind) or "model"


def _sums(stacks: list[Stack], weights: list[float]) -> dict[Stack, float]:
    sums: dict[Stack, float] = {}
    for stack, weight in zip(stacks, weights, strict=True):
        if weight:
            sums[stack] = sums.get(stack, 0) + weight
    return sums


def _sampled(name: str, unit: str, sums: Mapping[Stack, float]) -> dict[str, Any]:
    weights = list(sums.values())
    samples = {"samples": list(sums), "weights": weights}
    return {"type": "sampled", "name": name, "unit": unit, "startValue": 0, "endValue": sum(weights), **samples}
