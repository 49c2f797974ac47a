"""Find the shards that FSDP2 keeps of a model's parameters.

While a module runs, FSDP puts gathered copies in the place of its parameters, and may leave them there. What this rank
keeps from step to step is the shard.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from torch import nn

#: The shards by the module's ``id`` and the name of its parameter.
Shards = dict[tuple[int, str], "torch.Tensor"]


def shards_of(modules: Iterable[nn.Module]) -> Shards:
    """Return the shards of the parameters that FSDP2 manages; empty if none of the *modules* is sharded by it."""
    return {slot: parameter.sharded_param for parameter in _managed_of(modules) for slot in _slots(parameter)}


def kept_parameters(module: nn.Module, shards: Shards) -> list[torch.Tensor | None]:
    """Return the parameters of a module itself, with the shards in the place of gathered copies."""
    return [shards.get((id(module), name), parameter) for name, parameter in module._parameters.items()]


def gathered_copies(modules: Iterable[nn.Module], shards: Shards) -> Iterator[torch.Tensor]:
    """Yield the copies that stand in the place of parameters now."""
    for module in modules if shards else ():
        for name, parameter in module._parameters.items():
            if parameter is not None and shards.get((id(module), name), parameter) is not parameter:
                yield parameter


def unreduced_gradients(modules: Iterable[nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the whole gradients that FSDP2 accumulates over microbatches, until it reduces them to shards.

    Source: FSDPParam in torch/distributed/fsdp/_fully_shard/_fsdp_param.py.
    """
    for parameter in _managed_of(modules):
        whole = getattr(parameter, "_unsharded_param", None)  # since the first gather
        before_2_15 = getattr(parameter, "unsharded_accumulated_grad", None)
        for gradient in (before_2_15, None if whole is None else whole.grad):
            if gradient is not None:
                yield gradient


def _managed_of(modules: Iterable[nn.Module]) -> Iterator[Any]:
    """Yield what FSDP knows of each parameter of the *modules* that it shards."""
    sharded: Any = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    if sharded is not None:
        for module in modules:
            if isinstance(module, sharded):
                yield from _managed(module._get_fsdp_state())


def _managed(state: Any) -> Iterator[Any]:
    """Yield what FSDP knows of each parameter.

    Source: FSDPState in torch/distributed/fsdp/_fully_shard/_fsdp_state.py.
    """
    groups = getattr(state, "_fsdp_param_groups", None) or [state._fsdp_param_group]
    for group in groups:
        yield from group.fsdp_params if group is not None else ()


def _slots(parameter: Any) -> Iterator[tuple[int, str]]:
    """Yield the modules' ids and the names under which a parameter is registered."""
    info = parameter._module_info
    yield id(info.module), info.param_name
    yield from zip(map(id, info.shared_modules), info.shared_param_names, strict=True)
