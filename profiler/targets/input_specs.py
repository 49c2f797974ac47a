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
from profiler.escaping import quoted
from profiler.util.integers import read_integer

#: Dimensions of a tensor that every kernel accepts.
_MAX_DIMENSIONS = 64
_GRAMMAR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>[0-9]+(?:x[0-9]+)*)(?::(?P<dtype>\w+))?")


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
        forms = "3x224x224 for one sample, or NAME=1x2048 for a full shape by name"
        msg = f"cannot read the input {quoted(text)}; write {forms}"
        raise InputError(msg)
    dimensions = match["shape"].split("x")
    if len(dimensions) > _MAX_DIMENSIONS:
        msg = f"the input {quoted(text)} has {len(dimensions)} dimensions; write at most {_MAX_DIMENSIONS}"
        raise InputError(msg)
    shape = tuple(read_integer(digits, text) for digits in dimensions)
    if 0 in shape:
        msg = f"the input {quoted(text)} has a dimension of 0; each must be 1 or more"
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
        known = "float32, bfloat16, float16, int64 or bool"
        msg = f"no dtype named {quoted(name)} in the input {quoted(text)}; write {known}"
        raise InputError(msg)
