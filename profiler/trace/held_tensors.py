"""What the modules of a model hold, from one walk through it.

A walk over hundreds of modules and tensors that are in no cache takes as long as a small layer, so what has to know the
model shares one: the module paths, the memory tracker, the inventory.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from profiler.trace.module_paths import walk
from profiler.trace.sharded_parameters import gathered_copies, kept_parameters, shards_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn


class HeldTensors(NamedTuple):
    """A module under one of its paths, with its own parameters and buffers; without them under further paths."""

    path: str
    module: nn.Module
    is_first: bool
    #: With the shards that FSDP2 keeps in the place of gathered copies.
    parameters: tuple[torch.Tensor, ...] = ()
    buffers: tuple[torch.Tensor, ...] = ()


class Holdings:
    """The parameters and buffers of a model by module, at one moment."""

    def __init__(self, model: nn.Module | None) -> None:
        """List what *model* holds; None holds nothing."""
        places = list(walk(model)) if model is not None else []
        modules = list(dict.fromkeys(module for _, module in places))
        shards = shards_of(modules)
        #: The gathered copies that stand in the place of shards.
        self.copies = list(gathered_copies(modules, shards))
        #: Every path, parents first.
        self.rows: list[HeldTensors] = []
        seen: set[nn.Module] = set()
        for path, module in places:
            if module in seen:
                self.rows.append(HeldTensors(path, module, is_first=False))
                continue
            seen.add(module)
            own = kept_parameters(module, shards) if shards else module._parameters.values()
            parameters = tuple([p for p in own if p is not None]) if own else ()
            buffers = tuple([b for b in module._buffers.values() if b is not None]) if module._buffers else ()
            self.rows.append(HeldTensors(path, module, True, parameters, buffers))

    @property
    def parameters(self) -> Iterator[torch.Tensor]:
        """Yield the parameters, by module."""
        return chain.from_iterable([row.parameters for row in self.rows])

    @property
    def buffers(self) -> Iterator[torch.Tensor]:
        """Yield the buffers, by module."""
        return chain.from_iterable([row.buffers for row in self.rows])

    @property
    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the parameters, then the buffers."""
        return chain(self.parameters, self.buffers)
