"""Cost a trace: each distinct record is costed once, whatever its number of calls."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from profiler.formulas import rule_for
from profiler.tally.entry import UNCOUNTED, Entry
from profiler.tally.profile import Profile
from profiler.tally.tree import Module
from profiler.values.records import Cost, OpRecord, TensorSpec, Value, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.trace import Trace

_K = TypeVar("_K")
_COMPLEX_MAC = 4  # a product of two complex numbers takes four real multiply-adds


def tally(trace: Trace) -> Profile:
    """Return the profile of a trace: its modules, and its records with the cost of one call each."""
    return Profile(
        model=trace.model,
        inputs=trace.inputs,
        device=trace.inventory.device,
        mode=trace.inventory.mode,
        versions=versions(),
        params_by_dtype=tuple(sorted(trace.inventory.params_by_dtype.items())),
        param_bytes=trace.inventory.param_bytes,
        modules=tuple(
            Module(
                path=m.path,
                type=m.type,
                calls=trace.calls.get(m.path, 0),
                params=m.params,
                trainable_params=m.trainable_params,
                buffers=m.buffers,
                outputs=trace.outputs.get(m.path, ()),
                inputs=trace.arguments.get(m.path, ()),
            )
            for m in trace.inventory.modules
        ),
        entries=cost_records(trace.records),
        memory=trace.memory,
        flow=trace.flow,
        groups=trace.groups,
        global_params=trace.inventory.global_params,
    )


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of profiler, Python and torch that made a count."""
    import torch  # noqa: PLC0415 - what costs no trace needs no torch

    ours = metadata.version("profiler")
    return (("profiler", ours), ("python", platform.python_version()), ("torch", torch.__version__))


def cost_records(records: Iterable[OpRecord]) -> tuple[Entry, ...]:
    """Return *records* with the cost of one call each; what runs alike in several modules is costed once."""
    costed: dict[tuple[object, ...], Entry] = {}
    entries = []
    for record in records:
        key = record.operator, record.arguments, record.results
        entry = costed.get(key)
        if entry is None:
            entry = costed[key] = cost_record(record)
        else:
            entry = entry.of(record)
        entries.append(entry)
    return tuple(entries)


def cost_record(record: OpRecord) -> Entry:
    """Return *record* with the cost of one call; an operator without a rule costs its bytes, and is uncounted."""
    kind, cost = _cost(record)
    operands, results = _operands(record.arguments), _operands(enumerate(record.results))
    dtype = compute_dtype([spec for _, spec in operands], [spec for _, spec in results], contraction=cost.macs > 0)
    factor = _COMPLEX_MAC if dtype.startswith("complex") else 1
    read, written = cost.bytes_read, cost.bytes_written
    return Entry(
        record=record,
        kind=kind,
        dtype=dtype,
        macs=cost.macs * factor,
        masked_macs=(cost.macs if cost.masked_macs is None else cost.masked_macs) * factor,
        other_flops=cost.other_flops,
        transcendentals=cost.transcendentals,
        bytes_read=_bytes_read(operands) if read is None else read,
        bytes_written=_bytes_written(record, operands, results) if written is None else written,
    )


def _operands(values: Iterable[tuple[_K, Value]]) -> list[tuple[_K, TensorSpec]]:
    """Return the tensors in values that have a name or a position, each with it."""
    operands = []
    for key, value in values:
        if type(value) is TensorSpec:
            operands.append((key, value))
        elif type(value) is tuple and value and type(value[0]) is not int:  # strides and paddings hold integers alone
            operands += [(key, spec) for spec in tensors(value)]
    return operands


def _cost(record: OpRecord) -> tuple[str, Cost]:
    """Return the kind of rule and the cost of one call; "uncounted" without a rule, or where the rule cannot tell."""
    rule = rule_for(record.operator)
    cost = rule.cost(record) if rule is not None else None
    return (rule.kind, cost) if rule is not None and cost is not None else (UNCOUNTED, Cost())


def compute_dtype(operands: list[TensorSpec], results: list[TensorSpec], *, contraction: bool) -> str:
    """Return the name of the dtype that an operator computes in.

    A contraction computes in the dtype of its first quantized operand, or else of its first floating-point operand, or
    else of its first operand. Any other operator computes in the widest dtype of its operands, where complex is wider
    than floating point, integer and Boolean. An operator without operands computes in the dtype of its results.
    """
    candidates = operands or results
    if not candidates:
        return "none"
    if contraction:
        quantized = (spec for spec in candidates if spec.dtype.startswith("q"))
        floating = (spec for spec in candidates if spec.is_floating)
        return next(chain(quantized, floating, candidates)).dtype
    first = candidates[0].dtype
    if all(spec.dtype == first for spec in candidates):
        return first
    return max(candidates, key=_width).dtype


def _width(spec: TensorSpec) -> tuple[bool, bool, bool, float]:
    return spec.is_complex, spec.is_floating, spec.dtype != "bool", spec.itemsize


def _bytes_read(operands: list[tuple[str, TensorSpec]]) -> int:
    return sum([spec.bytes for name, spec in operands if name != "out"])


def _bytes_written(
    record: OpRecord, operands: list[tuple[str, TensorSpec]], results: list[tuple[int, TensorSpec]]
) -> int:
    """Sum the bytes of results and overwritten arguments; a result that is an overwritten argument counts once."""
    fresh = sum([spec.bytes for i, spec in results if i not in record.aliases])
    return fresh + sum([spec.bytes for name, spec in operands if name in record.mutated])
