"""The words after ``--input``: ``[NAME=]SHAPE[:DTYPE]``.

3x224x224                one sample of the first input; the batch is put in front
input_ids=1x2048         a whole input by name
x=1x16:int64             with a dtype of its own
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from profiler.errors import InputError

_GRAMMAR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?")


@dataclass(frozen=True, slots=True)
class Spec:
    """One input as it was asked for."""

    text: str
    shape: tuple[int, ...]
    name: str | None
    dtype: str | None


def parse(text: str) -> Spec:
    """Read one specification.

    Raises:
        InputError: It is not of the form, has a dimension of zero, or names no dtype.

    Example:
        >>> parse("input_ids=1x2048").shape
        (1, 2048)
    """
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        msg = (
            f"cannot read the input {text!r}; write 3x224x224 for one sample, or NAME=1x2048 for a whole input by name"
        )
        raise InputError(msg)
    shape = tuple(int(n) for n in match["shape"].split("x"))
    if 0 in shape:
        msg = f"the input {text!r} has a dimension of 0; each has to be 1 or more"
        raise InputError(msg)
    if match["dtype"] is not None:
        _check_dtype(text, match["dtype"])
    return Spec(text, shape, match["name"], match["dtype"])


def _check_dtype(text: str, name: str) -> None:
    if not isinstance(getattr(torch, name, None), torch.dtype):
        msg = f"no dtype named {name!r} in the input {text!r}; write float32, bfloat16, float16, int64 or bool"
        raise InputError(msg)
