"""The data flow of a run: its operator calls in order, and the storages that each reads and writes."""

from __future__ import annotations

from typing import NamedTuple

#: Stands for a tensor without a storage, such as a sparse one.
NO_STORAGE = -1


class OperatorStep(NamedTuple):
    """One call of an operator."""

    #: Index of its record in ``Profile.entries``.
    record: int
    #: Number of the storage of each tensor argument, and of each tensor result, in the record's order. Storages are
    #: numbered in the order in which they occur; tensors that share one have the same number.
    reads: tuple[int, ...]
    writes: tuple[int, ...]


#: All calls of a run, in their order.
DataFlow = tuple[OperatorStep, ...]


def format_flow(flow: DataFlow) -> str:
    """Format a data flow as text: ``record<reads>writes`` for each call.

    Example:
        >>> format_flow((OperatorStep(0, (0, 1), (2,)), OperatorStep(1, (2,), (3,))))
        '0<0,1>2 1<2>3'
    """
    return " ".join(f"{step.record}<{_numbers(step.reads)}>{_numbers(step.writes)}" for step in flow)


def parse_flow(text: str) -> DataFlow:
    """Return the data flow that `format_flow` wrote.

    Raises:
        ValueError: The text is not of that form.

    Example:
        >>> parse_flow("0<0,1>2 1<2>")
        (OperatorStep(record=0, reads=(0, 1), writes=(2,)), OperatorStep(record=1, reads=(2,), writes=()))
    """
    steps = []
    for word in text.split():
        record, _, rest = word.partition("<")
        reads, separator, writes = rest.partition(">")
        if not separator:
            msg = f"{word!r} is not record<reads>writes"
            raise ValueError(msg)
        steps.append(OperatorStep(int(record), _parse(reads), _parse(writes)))
    return tuple(steps)


def _numbers(storages: tuple[int, ...]) -> str:
    return ",".join(map(str, storages))


def _parse(numbers: str) -> tuple[int, ...]:
    return tuple(map(int, numbers.split(","))) if numbers else ()
