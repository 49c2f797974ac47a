"""Divide the experts of a mixture over ranks: each rank has some of them, and tokens travel to their experts and back.

Routing is balanced: every expert gets as many tokens as any other, whatever the router says. Its values decide nothing
that is counted, and a fake rank does not have them.
"""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from profiler.errors import InputError
from profiler.worlds.private_names import find

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEXED = 3
_WHAT = (
    "a layer of experts has `num_experts`, parameters with that many parts along their first dimension, and is called "
    "with hidden states, the chosen experts and their weights, as those of transformers are"
)


def divide_experts(model: nn.Module, group: Any, tensor_mesh: Any = None) -> int:
    """Keep the experts of this rank in each layer of experts, and let tokens travel over the process group.

    Args:
        model: The model on meta.
        group: The ranks that divide the experts.
        tensor_mesh: The axis tp, along which ranks have the same tokens; each then sends a part of them.

    Returns:
        The number of parameters that the other ranks of the group have instead.

    Raises:
        InputError: The model has no experts, or they do not divide.
    """
    layers = expert_layers(model)
    if not layers:
        msg = f"--expert-parallel divides experts, and {type(model).__name__} has none that are known; {_WHAT}"
        raise InputError(msg)
    for path, layer in layers.items():
        if layer.num_experts % group.size():
            msg = f"{path} has {layer.num_experts} experts, which do not divide over {group.size()} ranks"
            raise InputError(msg)
        _keep_own(layer, group, tensor_mesh)
    return sum((group.size() - 1) * p.numel() for layer in layers.values() for p in layer.parameters())


def expert_layers(model: nn.Module) -> dict[str, Any]:
    """Return the layers of experts, by their path."""
    return {path: module for path, module in model.named_modules() if _has_experts(module)}


def divided_experts(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers whose experts are divided."""
    return (module for module in model.modules() if isinstance(module.__dict__.get("forward"), _Exchange))


def _has_experts(module: nn.Module) -> bool:
    count = getattr(module, "num_experts", None)
    own = list(module.parameters(recurse=False))
    if not isinstance(count, int) or not any(p.dim() == _INDEXED for p in own):
        return False
    return all(p.shape[0] == count for p in own) and len(signature(module.forward).parameters) >= _INDEXED


def _keep_own(layer: Any, group: Any, tensor_mesh: Any) -> None:
    """Keep a share of the parameters on meta, and exchange tokens around the layer's own forward."""
    layer.num_experts //= group.size()
    for name, parameter in list(layer.named_parameters(recurse=False)):
        share = parameter[: layer.num_experts].detach().clone()
        setattr(layer, name, nn.Parameter(share, requires_grad=parameter.requires_grad))
    layer.forward = _Exchange(layer, group, tensor_mesh)


class _Exchange:
    """The forward of a layer whose experts are divided.

    Tokens are sorted by expert, sent to the ranks that have it together with the weights of the router, and come back
    multiplied by them.

    Source: MoEAlltoAllTokenDispatcher in megatron/core/transformer/moe/token_dispatcher.py of Megatron-LM;
    ExpertParallel in torchtitan/distributed/expert_parallel.py.
    """

    def __init__(self, layer: Any, group: Any, tensor_mesh: Any) -> None:
        self._layer, self._group, self._tensor_mesh = layer, group, tensor_mesh
        self._own = layer.forward
        self._signature = signature(self._own)

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the sum of what the chosen experts of each token return."""
        hidden, chosen, weights, *_ = self._signature.bind(*args, **kwargs).args
        tokens, choices = hidden.reshape(-1, hidden.shape[-1]), chosen.reshape(-1, chosen.shape[-1])
        weights = weights.reshape(choices.shape)
        rows = self._divided(tokens, choices, weights)
        return rows if rows.shape == hidden.shape else rows.view(hidden.shape)

    def _divided(self, tokens: torch.Tensor, choices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the sum for each token; ranks of the axis tp, which have the same tokens, do a part of them each."""
        if self._tensor_mesh is None:
            return self._of(tokens, choices, weights)
        self._check_share(len(tokens))
        parts = [self._moved(x, "Replicate", "Shard") for x in (tokens, choices, weights)]
        return self._moved(self._of(*parts), "Shard", "Replicate")

    def _of(self, tokens: torch.Tensor, choices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the sum of what the chosen experts of tokens return, one row for each."""
        each = self._tokens_per_expert(*choices.shape)
        order = choices.flatten().argsort(stable=True)
        self._tell_counts(choices)
        sent = self._exchange(tokens[order // choices.shape[1]])
        given = self._exchange(weights.reshape(-1, 1)[order])
        returned = self._exchange(self._own(sent, self._owners(each, sent.device), given))
        places = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return returned[places].view(*choices.shape, -1).sum(dim=1)

    def _check_share(self, tokens: int) -> None:
        ranks = self._tensor_mesh.size()
        if tokens % ranks:
            msg = f"{tokens} tokens do not divide over tp={ranks}, whose ranks send a part each to the experts"
            raise InputError(msg)

    def _moved(self, rows: torch.Tensor, before: str, after: str) -> torch.Tensor:
        """Return the rows that this rank of the axis tp has when they are placed in another way."""
        places = {"Replicate": find("Replicate")(), "Shard": find("Shard")(0)}
        whole = find("DTensor").from_local(rows, self._tensor_mesh, [places[before]], run_check=False)
        local: torch.Tensor = whole.redistribute(placements=[places[after]]).to_local()
        return local

    def _tokens_per_expert(self, tokens: int, choices: int) -> int:
        """Return how many tokens of this rank each expert gets.

        Raises:
            InputError: They cannot be the same for all.
        """
        experts: int = self._layer.num_experts * self._group.size()
        each, rest = divmod(tokens * choices, experts)
        if rest or not each:
            msg = (
                f"{tokens} tokens with {choices} experts each do not spread evenly over {experts} experts; "
                f"choose a batch and a sequence whose product is a multiple of {experts}"
            )
            raise InputError(msg)
        return each

    def _tell_counts(self, choices: torch.Tensor) -> None:
        """Tell each rank how many tokens it gets for each of its experts, as routing that is not balanced needs."""
        experts = self._layer.num_experts * self._group.size()
        with torch.no_grad():
            counts = torch.histc(choices.flatten().float(), bins=experts, min=0, max=experts - 1)
            find("wait_tensor")(self._exchange(counts))

    def _exchange(self, rows: torch.Tensor) -> torch.Tensor:
        splits = [len(rows) // self._group.size()] * self._group.size()
        received: torch.Tensor = find("all_to_all_single_autograd")(rows, splits, splits, self._group)
        return received

    def _owners(self, each: int, device: torch.device) -> torch.Tensor:
        """Return which of this rank's experts has to do with each row that it receives, as a column."""
        own = torch.arange(self._layer.num_experts, device=device).repeat_interleave(each)
        return own.repeat(self._group.size()).unsqueeze(1)
