"""Which operands of an operator are buffers of an exchange between ranks."""

from __future__ import annotations

import enum
from functools import cache
from typing import Any


class ExchangeBuffers(enum.Enum):
    """What an operator does with the buffers of an exchange."""

    #: Sends or receives its operands.
    COLLECTIVE = enum.auto()
    #: Reduces its operands in place, as DDP does its buckets.
    REDUCED_IN_PLACE = enum.auto()
    #: Is a functional collective: its operands stay as they are, and its results are new.
    FUNCTIONAL = enum.auto()
    #: Waits for a functional collective, and returns what it was given.
    WAITS = enum.auto()
    #: Copies shards into the flat buffer that FSDP2 sends.
    COPIES_IN = enum.auto()
    #: Copies the flat buffer that FSDP2 received into whole parameters.
    COPIES_OUT = enum.auto()


_SPECIAL = {
    "_c10d_functional::wait_tensor": ExchangeBuffers.WAITS,
    "c10d::allreduce_": ExchangeBuffers.REDUCED_IN_PLACE,
    "c10d::allreduce_coalesced_": ExchangeBuffers.REDUCED_IN_PLACE,
    "fsdp::all_gather_copy_in": ExchangeBuffers.COPIES_IN,
    "fsdp::split_with_sizes_copy": ExchangeBuffers.COPIES_OUT,
}

_LIBRARIES = {
    "c10d": ExchangeBuffers.COLLECTIVE,
    "_c10d_functional": ExchangeBuffers.FUNCTIONAL,
    "_dtensor": ExchangeBuffers.FUNCTIONAL,
}


@cache
def exchange_of(operator: Any) -> ExchangeBuffers | None:
    """Return what an operator does with buffers of an exchange; None for all but a few."""
    name = operator.name().partition(".")[0] if hasattr(operator, "_schema") else ""
    return _SPECIAL.get(name) or _LIBRARIES.get(name.partition("::")[0])
