"""What the modules of a model hold, from one walk through it.

A walk over hundreds of modules and tensors that are in no cache takes as long as a small layer, so what has to know the
model shares one: the module paths, the memory tracker, the inventory.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from profiler.trace.frozen_scripts import frozen_weights
from profiler.trace.module_paths import walk
from profiler.trace.sharded_parameters import gathered_copies, kept_parameters, shards_of, unreduced_gradients

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

    #: A module under one of its paths, whether that is the first, and its own parameters and buffers; without them
    #: under further paths. A plain tuple, since one is made for every module.
    HeldTensors = tuple[str, nn.Module, bool, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]


class Holdings:
    """The parameters and buffers of a model by module, at one moment."""

    def __init__(self, model: nn.Module | None) -> None:
        """List what *model* holds; None holds nothing."""
        #: The modules with each of their paths, parents first.
        self.places = list(walk(model)) if model is not None else []
        #: The modules, each once.
        self.modules = modules = list(dict.fromkeys([module for _, module in self.places]))
        shards = shards_of(modules)
        #: The gathered copies that stand in the place of shards.
        self.copies = list(gathered_copies(modules, shards))
        #: A row for each of the places.
        self.rows: list[HeldTensors] = []
        #: With the shards that FSDP2 keeps in the place of gathered copies.
        self.parameters: list[torch.Tensor] = []
        self.buffers: list[torch.Tensor] = []
        seen: set[nn.Module] = set()
        for path, module in self.places:
            if module in seen:
                self.rows.append((path, module, False, (), ()))
                continue
            seen.add(module)
            own = kept_parameters(module, shards) if shards else module._parameters.values()
            parameters = tuple([p for p in own if p is not None]) if own else frozen_weights(module)
            buffers = tuple([b for b in module._buffers.values() if b is not None]) if module._buffers else ()
            self.rows.append((path, module, True, parameters, buffers))
            self.parameters += parameters
            self.buffers += buffers

    @property
    def gradients(self) -> Iterator[torch.Tensor]:
        """Yield the gradients of the parameters, and those that FSDP2 has yet to reduce."""
        yield from (parameter.grad for parameter in self.parameters if parameter.grad is not None)
        yield from unreduced_gradients(self.modules)

    @property
    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the parameters, then the buffers."""
        return chain(self.parameters, self.buffers)
