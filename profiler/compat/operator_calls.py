"""Record a model's operators as fvcore sees them: as Python called them, with the modules that were running.

fvcore follows a ``torch.jit`` trace: there a linear layer is ``aten::linear``, and every convolution is
``aten::_convolution``. The cost of a call is the sum of our formulas over the operators that really run for it.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from torch.jit._trace import TracerWarning

from profiler.errors import ModelError
from profiler.run.forward import count, model_errors
from profiler.tally.entry import UNCOUNTED
from profiler.tally.tally import cost_record
from profiler.trace import Session
from profiler.trace.composite_calls import record_composite_calls
from profiler.util.interrupts import uninterrupted
from profiler.values.records import OUTSIDE, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from profiler.tally.entry import Entry
    from profiler.trace.composite_calls import CompositeCall
    from profiler.trace.module_stack import ModuleStack
    from profiler.values.records import OpRecord

_SEPARATOR = "\n"
_CONVOLUTIONS = frozenset(
    f"aten.{name}"
    for name in (
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
        "_convolution", "_convolution_mode",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamedCall:
    """All equal calls of an operator, by the same chain of running modules."""

    #: The name in a ``torch.jit`` trace, such as ``aten::linear``.
    operator: str
    #: The canonical names of the running modules, outermost first.
    running: tuple[str, ...]
    calls: int
    #: What ran for one call.
    parts: tuple[Entry, ...]
    #: Elements of the first result of one call.
    result_elements: int

    @property
    def macs(self) -> int:
        """The MACs of one call."""
        return sum(part.record.calls * part.macs for part in self.parts)

    @property
    def label(self) -> str:
        """The name under which fvcore adds up its count: ``conv`` for convolutions, else the operator's own."""
        return "conv" if self.operator == "aten::_convolution" else self.operator.rpartition("::")[2]

    def uncounted(self) -> Iterator[tuple[str, int]]:
        """Yield the operators that no formula covers, each with its calls in all of these calls."""
        for part in self.parts:
            if part.kind == UNCOUNTED:
                yield part.record.packet.replace(".", "::", 1), self.calls * part.record.calls


def record_named_calls(
    model: nn.Module, inputs: tuple[Any, ...], canonical: Mapping[str, str], warning_mode: str
) -> tuple[NamedCall, ...]:
    """Run one forward pass and return the calls of operators; buffers and the random state are restored.

    A model that needs autograd in its forward, such as for forces, is run again with it: its operators then have the
    names of those that ran (``aten::addmm``), and belong to the modules that contain them.

    Args:
        model: The model, which runs in its present mode.
        inputs: Its positional arguments.
        canonical: The canonical name of each path of a module.
        warning_mode: Which warnings of the model are shown: "all", "no_tracer_warning" or "none".

    Raises:
        ModelError: The model raised; the original error is the ``__cause__``.
    """

    def place(modules: ModuleStack) -> str:
        return _SEPARATOR.join(canonical.get(path, path) for path in modules.running)

    with _warnings(warning_mode):
        try:
            with model_errors(model), uninterrupted(), Session(model):
                calls = record_composite_calls(model, lambda: model(*inputs), place)
        except ModelError:
            return tuple(_plain(entry, canonical) for entry in count(model, *inputs).entries)
    return tuple(map(_named, calls))


@contextmanager
def _warnings(mode: str) -> Iterator[None]:
    with warnings.catch_warnings():
        if mode == "none":
            warnings.simplefilter("ignore")
        elif mode == "no_tracer_warning":
            warnings.filterwarnings("ignore", category=TracerWarning)
        yield


def _named(call: CompositeCall) -> NamedCall:
    record = call.record
    results = tensors(record.results)
    return NamedCall(
        operator=_trace_name(record),
        running=tuple(record.module.split(_SEPARATOR)),
        calls=record.calls,
        parts=tuple(map(cost_record, call.parts)),
        result_elements=prod(results[0].shape) if results else 0,
    )


def _plain(entry: Entry, canonical: Mapping[str, str]) -> NamedCall:
    """Return the calls of an operator that ran, as if Python had called it."""
    record, results = entry.record, tensors(entry.record.results)
    path = "" if record.module == OUTSIDE else canonical.get(record.module, record.module)
    return NamedCall(
        operator=_trace_name(record),
        running=tuple(ancestors(path)),
        calls=record.calls,
        parts=(replace(entry, record=replace(record, calls=1)),),
        result_elements=prod(results[0].shape) if results else 0,
    )


def ancestors(path: str) -> Iterator[str]:
    """Yield the root and each module on the way to a path, the module there last.

    Example:
        >>> list(ancestors("encoder.layer"))
        ['', 'encoder', 'encoder.layer']
    """
    yield ""
    parts = path.split(".")
    for depth in range(len(parts) if path else 0):
        yield ".".join(parts[: depth + 1])


def _trace_name(record: OpRecord) -> str:
    return "aten::_convolution" if record.packet in _CONVOLUTIONS else record.packet.replace(".", "::", 1)
