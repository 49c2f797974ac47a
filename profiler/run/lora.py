"""LoRA: freeze a model and train low-rank adapters of some of its layers, with peft."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from profiler.errors import InputError, InstallationError, one_line
from profiler.escaping import quoted

if TYPE_CHECKING:
    from torch import nn

_FORM = "write r=16, or r=16,targets=q_proj,v_proj"


@dataclass(frozen=True, slots=True)
class Lora:
    """The rank of the adapters, and the names of the layers that get one."""

    rank: int
    #: Ends of the names of modules; empty for the layers that peft chooses for the model, or else all linear ones.
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as on the command line."""
        return f"r={self.rank}" + (f",targets={','.join(self.targets)}" if self.targets else "")


def parse_lora(text: str) -> Lora:
    """Return what ``--lora`` says.

    Raises:
        InputError: It is not of the form ``r=16,targets=q_proj,v_proj``.

    Example:
        >>> parse_lora("r=8,targets=q_proj,v_proj")
        Lora(rank=8, targets=('q_proj', 'v_proj'))
    """
    head, *targets = (part.strip() for part in text.split(","))
    name, _, rank = head.partition("=")
    if name.strip() != "r" or not (rank.strip().isascii() and rank.strip().isdigit() and int(rank)):
        msg = f"--lora {quoted(text)} has no rank; {_FORM}"
        raise InputError(msg)
    if not targets:
        return Lora(int(rank))
    key, _, first = targets[0].partition("=")
    names = tuple(part.strip() for part in (first, *targets[1:]))
    if key.strip() != "targets" or not all(names):
        msg = f"--lora {quoted(text)} does not name its layers; {_FORM}"
        raise InputError(msg)
    return Lora(int(rank), names)


def add_lora(model: nn.Module, lora: Lora) -> None:
    """Freeze *model* and add the adapters, in place; the paths of its modules stay.

    Raises:
        InstallationError: peft is not installed.
        InputError: No layer has such a name, or peft has no adapter for one that has.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "LoRA needs the package peft; install it with: pip install 'profiler[hf]'"
        raise InstallationError(msg) from error
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    config = LoraConfig(r=lora.rank, target_modules=list(lora.targets) or _targets(model))
    try:
        with warnings.catch_warnings(), device:
            warnings.simplefilter("ignore")
            inject_adapter_in_model(config, model)
    except (ValueError, TypeError) as error:
        msg = f"--lora {lora} does not fit the model: {one_line(error)}"
        raise InputError(msg) from error


def _targets(model: nn.Module) -> list[str]:
    """Return the layers that peft adapts in this kind of model; or else the names of all its linear layers.

    Raises:
        InputError: The model has no linear layer.
    """
    from peft.utils.constants import (  # noqa: PLC0415 - an extra
        TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as BY_TYPE,
    )

    kind = getattr(getattr(model, "config", None), "model_type", None)
    if kind in BY_TYPE:
        return list(BY_TYPE[kind])
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and name]
    if not names:
        msg = "the model has no linear layer for LoRA; name the layers, as in --lora r=16,targets=conv1"
        raise InputError(msg)
    return names
