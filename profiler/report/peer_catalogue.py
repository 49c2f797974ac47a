"""The catalogue of peers: what is installed, what the numbers mean, and the known deviations."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profiler.report.registry import Formats
from profiler.report.table_formats import csv_table, markdown_table, page
from profiler.report.tables import WIDTH, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from profiler.peers import Peer
    from profiler.report.tables import Side
    from profiler.values.findings import Deviation

_COLUMNS: Mapping[str, Side] = {"peer": "left", "distribution": "left", "unit": "left", "deviations": "right"}


_DEVIATIONS: Mapping[str, Side] = {
    "peer": "left", "code": "left", "kind": "left", "why": "left", "where": "left", "versions": "left",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PeerList:
    """Peers, and whether they are shown with each of their deviations."""

    peers: Sequence[Peer]
    is_detailed: bool = False


PEER_FORMATS: Formats[PeerList] = Formats()


@PEER_FORMATS.register("text")
def to_text(selection: PeerList) -> str:
    """Write the peers one by one, or an overview of all."""
    texts = map(details, selection.peers) if selection.is_detailed else [overview(selection.peers)]
    return "\n\n".join(texts) + "\n"


@PEER_FORMATS.register("markdown")
def to_markdown(selection: PeerList) -> str:
    """Write a row a peer; in detail, a row a deviation too."""
    peers = selection.peers
    deviations = markdown_table(_DEVIATIONS, _deviations(peers)) if selection.is_detailed else ""
    return page(markdown_table(_COLUMNS, map(_cells, peers)), deviations)


@PEER_FORMATS.register("csv")
def to_csv(selection: PeerList) -> str:
    """Write a line a peer, or in detail a line a deviation."""
    peers = selection.peers
    return (
        csv_table(_DEVIATIONS, _deviations(peers)) if selection.is_detailed else csv_table(_COLUMNS, map(_cells, peers))
    )


@PEER_FORMATS.register("json")
def to_json(selection: PeerList) -> str:
    """Write every peer with its deviations."""
    rows = [
        {
            "name": peer.name,
            "version": peer.version,
            "installed": peer.installed,
            "unit": peer.unit,
            "convention": peer.convention,
            "deviations": [dict(zip(_DEVIATIONS, row, strict=True)) for row in _deviations([peer])],
        }
        for peer in selection.peers
    ]
    return json.dumps({"peers": rows}, indent=1, ensure_ascii=False) + "\n"


def _cells(peer: Peer) -> tuple[str, ...]:
    return (peer.name, peer.version, peer.unit, str(len(peer.deviations)))


def _deviations(peers: Iterable[Peer]) -> list[tuple[str, ...]]:
    return [(peer.name, d.code, d.kind.value, d.why, d.where, d.versions) for peer in peers for d in peer.deviations]


def overview(peers: Iterable[Peer]) -> str:
    """Return a table of peers, with what their numbers mean and how to install those that are missing."""
    rows, meanings = [], []
    for peer in peers:
        rows.append(_cells(peer))
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
