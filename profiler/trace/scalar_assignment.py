"""``x[...] = 1`` on ``meta``, which before torch 2.15 runs other operators than on the CPU.

On the CPU torch makes the number a tensor without an operator, and fills. On any other device it calls
``scalar_tensor``, expands the result to the shape of the part and copies it. On ``meta`` we count what the CPU runs.
Source: applySlicing and copy_to in aten/src/ATen/TensorIndexing.h of torch 2.14.
"""

from __future__ import annotations

from dis import opmap
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from types import FrameType

#: The operator that makes a tensor of a number.
SCALAR_TENSOR = torch.ops.aten.scalar_tensor.default
_ASSIGNMENT = opmap["STORE_SUBSCR"]
_META, _CPU = torch.device("meta"), torch.device("cpu")


def assigned_scalar(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType) -> torch.Tensor | None:
    """Return the number as a tensor on the CPU if *func* makes it for an assignment on ``meta``; otherwise None.

    Torch then fills, as on the CPU.

    Args:
        func: The operator.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        frame: The frame of Python that runs the operator.
    """
    if func is not SCALAR_TENSOR or kwargs.get("device") != _META:
        return None
    if frame.f_code.co_code[frame.f_lasti] != _ASSIGNMENT:
        return None
    scalar: torch.Tensor = func(*args, **{**kwargs, "device": _CPU})
    return scalar
