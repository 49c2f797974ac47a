"""Count custom operators by formulas that were registered with ``torch.utils.flop_counter.register_flop_formula``.

Such a formula returns FLOPs, of which that counter counts two per multiply-add. Here all of them count as
multiply-adds, so that MACs are half of the FLOPs. The formulas that torch itself registers, for its own operators, are
not used.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from profiler.errors import FormulaError, one_line
from profiler.formulas import registry
from profiler.util.lazy_imports import LazyModule
from profiler.values.records import FLOAT, Cost, OpRecord, TensorSpec

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

#: The module with the registry. It imports triton: so long as nobody has imported it, nobody has registered a formula.
_FLOP_COUNTER = "torch.utils.flop_counter"
_LIBRARIES_OF_TORCH = ("aten.", "prims.", "quantized.", "higher_order.")


def has_formula(operator: str) -> bool:
    """Return whether a formula for a custom operator is registered with torch."""
    return not operator.startswith(_LIBRARIES_OF_TORCH) and _find(operator) is not None


def cost(record: OpRecord) -> Cost:
    """Evaluate the registered formula of a call, on ``meta`` tensors of the recorded shapes and dtypes.

    Raises:
        FormulaError: The formula raised.
    """
    function = _find(record.operator)
    arguments = {name: _to_meta(value) for name, value in record.arguments}
    schema = registry.overloads(record.operator)[0]._schema
    args = [arguments.pop(a.name) for a in schema.arguments if not a.kwarg_only]
    results = [_to_meta(value) for value in record.results]
    out = results[0] if len(results) == 1 else tuple(results)
    try:
        flops = int(function(*args, **arguments, out_val=out))
    except Exception as error:
        msg = f"the formula registered with torch for {record.operator} raised {one_line(error)}"
        raise FormulaError(msg) from error
    return Cost(macs=flops // 2, other_flops=flops % 2)


def _find(operator: str) -> Any:
    flop_counter = sys.modules.get(_FLOP_COUNTER)
    if flop_counter is None:
        return None
    functions = (flop_counter.flop_registry.get(form.overloadpacket) for form in registry.overloads(operator))
    return next((function for function in functions if function is not None), None)


def _to_meta(value: Any) -> Any:
    """Replace specs by ``meta`` tensors, also inside lists, and a float whose value is not kept by NaN."""
    if isinstance(value, TensorSpec):
        return torch.empty(value.shape, dtype=getattr(torch, value.dtype), device="meta")
    if isinstance(value, tuple):
        return [_to_meta(item) for item in value]
    return math.nan if value == FLOAT else value
