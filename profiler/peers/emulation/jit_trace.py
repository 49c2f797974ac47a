"""What the counters that read a ``torch.jit`` trace have in common: fvcore and torchprofile.

They trace the model with gradients enabled, so that no module takes a fused fast path. The trace holds the operators as
Python called them, composite ones not decomposed, without those on which the output does not depend. The counter has a
handler for some operators and counts the others as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.tally.tally import cost_record

if TYPE_CHECKING:
    from profiler.trace.composite_calls import CompositeCall
    from profiler.values.records import OpRecord

#: The attribute of a ``FlatModel`` that holds the model.
FLAT_MODEL = "model"


def reaches_handler(call: CompositeCall) -> bool:
    """Return whether the trace shows a call as an operator for which handlers are looked up."""
    return bool(call.used and not call.function and not has_named_padding(call.record))


def has_named_padding(record: OpRecord) -> bool:
    """Return whether a convolution has ``padding="same"`` or ``"valid"``: the tracer uses another operator for it."""
    return record.packet.startswith("aten.conv") and record.operator.endswith(".padding")


def macs_as_real(call: CompositeCall) -> int:
    """Return the MACs of one call if a complex multiply-add counts as one, not as four real ones."""
    entries = [cost_record(part) for part in call.parts]
    return sum(e.record.calls * (e.macs // 4 if e.dtype.startswith("complex") else e.macs) for e in entries)


def argument(record: OpRecord, name: str) -> Any:
    """Return an argument of an operator by its schema name."""
    return dict(record.arguments)[name]
