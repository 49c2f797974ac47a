"""Save a profile as JSON (schema ``profiler/1``), and load it.

A file holds what a profile stores (``records`` and ``modules``) and, for readers in other languages, what is computed
from it (``totals``, ``phases``, ``operators``, ``uncounted``, the sums of the modules). Loading computes these again,
and rejects a file in which they differ.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from profiler.errors import SavedProfileError, one_line
from profiler.escaping import quoted
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
from profiler.util.files import write_whole
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.plain_data import first_problem
from profiler.values.data_flow import format_flow, parse_flow
from profiler.values.records import OpRecord, TensorSpec

if TYPE_CHECKING:
    from profiler.tally.figures import Totals
    from profiler.tally.profile import Operator, Uncounted
    from profiler.values.data_flow import DataFlow
    from profiler.values.records import Value


#: What to give instead of a file that is no saved profile.
SAVED_HINT = "a file that `save` or `--format json --output` wrote"


#: Figures of a projection that older versions saved.
_RETIRED = frozenset({"smallest_device"})
#: The figures of a projection that are text.
_TEXTS = frozenset({"device", "precision", "limit", "mode"})
#: A surrogate without its other half.
_HALF = re.compile("[\ud800-\udfff]")


def to_json(profile: Profile) -> str:
    """Return a profile as JSON text; equal profiles give equal text."""
    row = _row(profile)
    try:
        return row.model_dump_json(by_alias=True, indent=1, exclude_defaults=True) + "\n"
    except PydanticSerializationError:  # a name with half of a character, which no file can hold
        values = row.model_dump(by_alias=True, exclude_defaults=True)
        return _HALF.sub(lambda half: f"\\\\u{ord(half[0]):x}", json.dumps(values, indent=1, ensure_ascii=False)) + "\n"


def from_json(text: str, source: str = "the text") -> Profile:
    """Return the profile in a JSON text; *source* names the text in errors.

    Raises:
        SavedProfileError: The text is no complete profile of this schema, or its totals differ from its records.
    """
    row = _parse(text, source)
    try:
        profile = _profile(row)
        _require_numbers(profile)
        is_consistent = _as_old_as(row, _row(profile)) == row
    except Exception as error:  # modules without their parent, a path that occurs twice …
        msg = f"{source} is not a consistent profile ({one_line(error)}); save it anew"
        raise SavedProfileError(msg) from error
    if not is_consistent:
        msg = f"{source} was changed after it was saved: its totals are not the sums of its records; save it anew"
        raise SavedProfileError(msg)
    return profile


def _as_old_as(row: ProfileRow, computed: ProfileRow) -> ProfileRow:
    """Return what was computed, without the tables that the file lacks because it is from before they were there."""
    missing = [name for name in ("communication", "upper_bounds") if not getattr(row, name)]
    return computed.model_copy(update={name: [] for name in missing})


def _require_numbers(profile: Profile) -> None:
    """Raise a ``ValueError`` if a figure of the projection that is a number holds text."""
    projection = profile.projection
    if projection is None:
        return
    figures = {name: figure for name, figure in projection.figures.items() if name not in _TEXTS}
    what_ifs = [figure for row in projection.what_if for figure in (row.weight_bytes, row.bound_s, row.estimate_s)]
    for figure in (*figures.values(), *what_ifs):
        float(figure.value)


def save(profile: Profile, path: str | Path) -> None:
    """Write a profile to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_whole(Path(path), to_json(profile))


def load(path: str | Path) -> Profile:
    """Load a saved profile.

    Args:
        path: A file that ``Profile.save`` or ``profiler MODEL --format json --output FILE`` wrote.

    Raises:
        SavedProfileError: The file is missing, is not a profile, or has another schema.

    Example:
        >>> import profiler, tempfile, torch
        >>> p = profiler.count(torch.nn.Linear(4, 4, device="meta"), torch.empty(1, 4, device="meta"))
        >>> with tempfile.NamedTemporaryFile(suffix=".json") as file:
        ...     p.save(file.name)
        ...     profiler.load(file.name) == p
        True
    """
    return from_json(read_json_text(path, SavedProfileError, SAVED_HINT), str(path))


def _parse(text: str, source: str) -> ProfileRow:
    document = parse_json(text, source, SavedProfileError)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        found = f"schema {quoted(schema)}" if schema is not None else "no schema"
        msg = f"{source} is not a saved profile: it has {found}, and this version reads {SCHEMA!r}"
        raise SavedProfileError(msg)
    projection = document.get("projection")
    if isinstance(projection, dict) and _RETIRED & projection.keys():
        text = json.dumps(document | {"projection": {k: v for k, v in projection.items() if k not in _RETIRED}})
    try:
        return ProfileRow.model_validate_json(text)
    except ValidationError as error:
        msg = f"{source} is not a complete profile: {first_problem(error)}"
        raise SavedProfileError(msg) from error


def _row(profile: Profile) -> ProfileRow:
    return ProfileRow(
        schema=SCHEMA,
        model=profile.model,
        inputs={name: _plain(value) for name, value in profile.inputs},
        device=profile.device,
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


_ENTRY = ("kind", "dtype", *WORK)


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
        **{name: getattr(entry, name) for name in _ENTRY},
    )


def _profile(row: ProfileRow) -> Profile:
    return Profile(
        model=row.model,
        inputs=tuple((name, _value(value)) for name, value in row.inputs.items()),
        device=row.device,
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
    return Entry(record, **{name: getattr(row, name) for name in _ENTRY})


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
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _value(value: Any) -> Value:
    if isinstance(value, TensorRow):
        values = None if value.values is None else tuple(value.values)
        return TensorSpec(tuple(value.shape), value.dtype, value.elements, value.layout, values, value.kept)
    return tuple(_value(item) for item in value) if isinstance(value, list) else value
