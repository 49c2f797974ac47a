"""The catalogue of peers as text: what is installed, what the numbers mean, and the known deviations."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from profiler.report.tables import WIDTH, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profiler.peers import Peer
    from profiler.report.tables import Side
    from profiler.values.findings import Deviation

_COLUMNS: Mapping[str, Side] = {"peer": "left", "distribution": "left", "unit": "left", "deviations": "right"}


def overview(peers: Iterable[Peer]) -> str:
    """Return a table of peers, with what their numbers mean and how to install those that are missing."""
    rows, meanings = [], []
    for peer in peers:
        rows.append((peer.name, peer.version, peer.unit, str(len(peer.deviations))))
        hint = "" if peer.installed else f" ({peer.install})"
        meanings.append(_wrapped(f"{peer.name}: {peer.convention}{hint}"))
    return "\n\n".join([table(_COLUMNS, rows), "\n".join(meanings)])


def details(peer: Peer) -> str:
    """Return one peer with all its known deviations."""
    head = [f"{peer.name} · {peer.version} · {peer.unit}", _wrapped(peer.convention)]
    if not peer.installed:
        head.append(f"install it with: {peer.install}")
    return "\n\n".join(["\n".join(head), *map(_deviation, peer.deviations)])


def _deviation(deviation: Deviation) -> str:
    lines = [
        f"{deviation.code} ({deviation.kind.value})",
        _wrapped(deviation.why, "  "),
        _wrapped(f"{deviation.where}; seen in {deviation.versions}", "  "),
    ]
    return "\n".join(lines)


def _wrapped(line: str, indent: str = "") -> str:
    return textwrap.fill(
        line, WIDTH, initial_indent=indent, subsequent_indent=indent or "  ", break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip
