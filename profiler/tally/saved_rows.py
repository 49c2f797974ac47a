"""From a profile to the rows of its file, and back."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from profiler.tally.entry import Entry
from profiler.tally.figures import HELD, WORK
from profiler.tally.profile import Profile
from profiler.tally.saved_findings import finding_rows, findings_of
from profiler.tally.schema import (
    SCHEMA,
    CostsRow,
    ModuleRow,
    OperatorRow,
    ProfileRow,
    RecordRow,
    TensorRow,
    UncountedRow,
)
from profiler.tally.tree import Module
from profiler.values.data_flow import format_flow, parse_flow
from profiler.values.records import OpRecord, TensorSpec

if TYPE_CHECKING:
    from profiler.tally.figures import Totals
    from profiler.tally.operator_tables import Operator, Uncounted
    from profiler.values.data_flow import DataFlow
    from profiler.values.records import Value

#: The figures of an entry that a row of a record has.
ENTRY_FIGURES = ("kind", "dtype", *WORK)
#: How numbers are written that JSON has not: the order of a norm, or the value of a mask.
_INFINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
_INFINITE_OF = {text: number for number, text in _INFINITE.items()}


def row_of(profile: Profile) -> ProfileRow:
    """Return a profile as the row that is written."""
    return ProfileRow(
        schema=SCHEMA,
        model=profile.model,
        inputs={name: _plain(value) for name, value in profile.inputs},
        device=profile.device,
        mode=profile.mode,
        notes=list(profile.notes),
        versions=dict(profile.versions),
        convention=profile.convention,
        totals=_costs(profile.totals),
        phases={phase: _costs(totals) for phase, totals in profile.phases.items()},
        params_by_dtype=dict(profile.params_by_dtype),
        param_bytes=profile.param_bytes,
        modules=[_module(profile, module) for module in profile.modules],
        operators=[_operator(row) for row in profile.operators],
        uncounted=list(map(_uncounted, profile.uncounted)),
        upper_bounds=list(map(_uncounted, profile.upper_bounds)),
        records=[_record(entry) for entry in profile.entries],
        findings=finding_rows(profile.findings),
        projection=profile.projection,
        memory=profile.memory,
        groups=list(profile.groups),
        communication=list(profile.communication),
        flow=None if profile.flow is None else format_flow(profile.flow),
    )


def _costs(totals: Totals) -> CostsRow:
    return CostsRow(**{name: getattr(totals, name) for name in CostsRow.model_fields})


def _module(profile: Profile, module: Module) -> ModuleRow:
    node = profile.nodes[module.path]
    return ModuleRow(
        path=module.path,
        type=module.type,
        calls=module.calls,
        outputs=[list(shape) for shape in module.outputs],
        inputs=[list(shape) for shape in module.inputs],
        self=_costs(node.own),
        total=_costs(node.total),
    )


def _operator(row: Operator) -> OperatorRow:
    return OperatorRow(operator=row.operator, dtype=row.dtype, calls=row.calls, costs=_costs(row.totals))


def _uncounted(row: Uncounted) -> UncountedRow:
    return UncountedRow(operator=row.operator, calls=row.calls, module=row.module, shapes=list(map(list, row.shapes)))


def _record(entry: Entry) -> RecordRow:
    record = entry.record
    return RecordRow(
        operator=record.operator,
        module=record.module,
        phase=record.phase,
        calls=record.calls,
        arguments={name: _plain(value) for name, value in record.arguments},
        results=[_plain(value) for value in record.results],
        mutated=list(record.mutated),
        aliases=list(record.aliases),
        **{name: getattr(entry, name) for name in ENTRY_FIGURES},
    )


def _plain(value: Value) -> Any:
    if isinstance(value, TensorSpec):
        values = None if value.values is None else list(value.values)
        return TensorRow(
            shape=list(value.shape),
            dtype=value.dtype,
            elements=value.elements,
            layout=value.layout,
            values=values,
            kept=value.unmasked,
        )
    if isinstance(value, float):
        return _INFINITE.get(value, value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def profile_of(row: ProfileRow) -> Profile:
    """Return the profile of a row that was read."""
    return Profile(
        model=row.model,
        inputs=tuple((name, _value(value)) for name, value in row.inputs.items()),
        device=row.device,
        mode=row.mode,
        notes=tuple(row.notes),
        versions=tuple(row.versions.items()),
        params_by_dtype=tuple(row.params_by_dtype.items()),
        param_bytes=row.param_bytes,
        modules=tuple(_module_of(module) for module in row.modules),
        entries=tuple(_entry_of(record) for record in row.records),
        convention=row.convention,
        findings=findings_of(row.findings),
        projection=row.projection,
        memory=row.memory,
        groups=tuple(row.groups),
        global_params=row.totals.global_params,
        flow=None if row.flow is None else _flow_of(row.flow, row.records),
    )


def _flow_of(text: str, records: list[RecordRow]) -> DataFlow:
    """Return the data flow in a text; raise a ``ValueError`` if it is not one of these records' calls."""
    flow = parse_flow(text)
    counts = Counter(step.record for step in flow)
    if any(not 0 <= i < len(records) or n > records[i].calls for i, n in counts.items()):
        msg = "the data flow has other calls than the records"
        raise ValueError(msg)
    return flow


def _module_of(row: ModuleRow) -> Module:
    outputs, inputs = (tuple(tuple(shape) for shape in shapes) for shapes in (row.outputs, row.inputs))
    held = {name: getattr(row.own, name) for name in HELD}
    return Module(path=row.path, type=row.type, calls=row.calls, outputs=outputs, inputs=inputs, **held)


def _entry_of(row: RecordRow) -> Entry:
    record = OpRecord(
        operator=row.operator,
        module=row.module,
        phase=row.phase,
        arguments=tuple((name, _value(value)) for name, value in row.arguments.items()),
        results=tuple(_value(value) for value in row.results),
        calls=row.calls,
        mutated=tuple(row.mutated),
        aliases=tuple(row.aliases),
    )
    return Entry(record, **{name: getattr(row, name) for name in ENTRY_FIGURES})


def _value(value: Any) -> Value:
    if isinstance(value, TensorRow):
        values = None if value.values is None else tuple(value.values)
        return TensorSpec(tuple(value.shape), value.dtype, value.elements, value.layout, values, value.kept)
    if isinstance(value, str):
        return _INFINITE_OF.get(value, value)
    return tuple(_value(item) for item in value) if isinstance(value, list) else value
