"""Formulas that somebody registered with ``torch.utils.flop_counter.register_flop_formula``.

They say FLOPs in the convention of that counter, two for each multiply-add, and are taken at their word: half of
them are MACs. Those that torch brings for its own operators are not used here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import flop_counter

from profiler.errors import FormulaError, one_line
from profiler.formulas import registry
from profiler.values.records import Cost, OpRecord, TensorSpec

_LIBRARIES_OF_TORCH = ("aten.", "prims.", "quantized.", "higher_order.")


def has_formula(operator: str) -> bool:
    """Say whether a custom operator is in torch's registry."""
    return not operator.startswith(_LIBRARIES_OF_TORCH) and _find(operator) is not None


def cost(record: OpRecord) -> Cost:
    """Ask the registered function, with tensors on ``meta`` in place of those that ran."""
    function = _find(record.operator)
    arguments = {name: _tensor(value) for name, value in record.arguments}
    schema = registry.overloads(record.operator)[0]._schema
    args = [arguments.pop(a.name) for a in schema.arguments if not a.kwarg_only]
    results = [_tensor(value) for value in record.results]
    out = results[0] if len(results) == 1 else tuple(results)
    try:
        flops = int(function(*args, **arguments, out_val=out))
    except Exception as error:
        msg = f"the formula registered with torch for {record.operator} raised {one_line(error)}"
        raise FormulaError(msg) from error
    return Cost(macs=flops // 2, other_flops=flops % 2)


def _find(operator: str) -> Any:
    for overload in registry.overloads(operator):
        found = flop_counter.flop_registry.get(overload.overloadpacket)
        if found is not None:
            return found
    return None


def _tensor(value: Any) -> Any:
    if isinstance(value, TensorSpec):
        return torch.empty(value.shape, dtype=getattr(torch, value.dtype), device="meta")
    if isinstance(value, tuple):
        return [_tensor(item) for item in value]
    return value
