"""Parse input specifications, as ``--input`` takes them: ``[NAME=]SHAPE[:DTYPE]``.

3x224x224                one sample of the first input, without the batch dimension
input_ids=1x2048         the full shape of an input by name
x=1x16:int64             with an explicit dtype
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from profiler.errors import InputError

_GRAMMAR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?")


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed input specification."""

    #: As the user wrote it, for error messages.
    text: str
    shape: tuple[int, ...]
    name: str | None
    dtype: str | None


def parse(text: str) -> Spec:
    """Parse one specification.

    Raises:
        InputError: It does not match ``[NAME=]SHAPE[:DTYPE]``, has a dimension of 0, or names an unknown dtype.

    Example:
        >>> parse("input_ids=1x2048").shape
        (1, 2048)
    """
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        msg = f"cannot read the input {text!r}; write 3x224x224 for one sample, or NAME=1x2048 for a full shape by name"
        raise InputError(msg)
    shape = tuple(int(n) for n in match["shape"].split("x"))
    if 0 in shape:
        msg = f"the input {text!r} has a dimension of 0; each must be 1 or more"
        raise InputError(msg)
    if match["dtype"] is not None:
        check_dtype(text, match["dtype"])
    return Spec(text, shape, match["name"], match["dtype"])


def check_dtype(text: str, name: str) -> None:
    """Raise unless *name* is a dtype of torch; *text* is the input it was written in.

    Raises:
        InputError: It is not.
    """
    if not isinstance(getattr(torch, name, None), torch.dtype):
        msg = f"no dtype named {name!r} in the input {text!r}; write float32, bfloat16, float16, int64 or bool"
        raise InputError(msg)
