"""The table of communication: the collectives and transfers among the records of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from profiler.formulas.collectives import collective_kind, collective_payload
from profiler.values.communication import UNKNOWN_AXIS, Communication, ProcessGroup, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from profiler.values.records import OpRecord

#: The arguments of collectives that name a group.
_GROUP_ARGUMENTS = ("process_group", "group_name")


def communication_table(records: Iterable[OpRecord], groups: Iterable[ProcessGroup]) -> tuple[Communication, ...]:
    """Return the rows of the table, in the order of their first call."""
    by_name = {group.name: group for group in groups}
    rows: dict[Communication, Communication] = {}
    for record in records:
        row = _row(record, by_name)
        if row is not None:
            key = replace(row, calls=0, payload_bytes=0, wire_bytes=0)
            rows[key] = merge_rows((rows.get(key, key), row))
    return tuple(rows.values())


def merge_rows(rows: Sequence[Communication]) -> Communication:
    """Return a row with the calls and the bytes of all *rows*; the rest is that of the first."""
    return replace(
        rows[0],
        calls=sum(row.calls for row in rows),
        payload_bytes=sum(row.payload_bytes for row in rows),
        wire_bytes=sum(row.wire_bytes for row in rows),
    )


def _row(record: OpRecord, groups: dict[str, ProcessGroup]) -> Communication | None:
    """Return the row of all calls of one record; None if it is no collective."""
    kind = collective_kind(record)
    if kind is None:
        return None
    names = [value for name, value in record.arguments if name in _GROUP_ARGUMENTS]
    group = groups.get(str(names[0]) if names else "", ProcessGroup("", UNKNOWN_AXIS, ()))
    payload = collective_payload(record, kind)
    size = sum(spec.bytes for spec in payload)
    return Communication(
        kind=kind,
        axis=group.axis,
        group_size=len(group.ranks),
        ranks=group.ranks,
        dtype=payload[0].dtype if payload else "none",
        calls=record.calls,
        payload_bytes=record.calls * size,
        wire_bytes=record.calls * (size if _is_shift(record) else wire_bytes(kind, size, len(group.ranks))),
        module=record.module,
        phase=record.phase,
    )


def _is_shift(record: OpRecord) -> bool:
    """Return whether an all-to-all sends its whole payload to one rank, as each step of a ring does."""
    splits = dict(record.arguments).get("input_split_sizes")
    return isinstance(splits, tuple) and len(splits) > 1 and sum(size != 0 for size in splits) == 1
