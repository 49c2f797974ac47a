"""Operators that an exported program may call.

torch resolves any dotted name below ``torch``, such as ``torch.os.system``.
"""

from __future__ import annotations

import math
import operator
import re
from functools import reduce

import torch
from torch._export.serde.serialize import _SYM_OPS

from profiler.targets.exported.unsafe import UnsafeProgramError

_NAME = re.compile(r"(?P<root>torch(?=\.ops\.|\.sym_)|_operator|math)\.(?P<path>\w+(\.\w+){0,3})")
_ROOTS = {"torch": torch, "_operator": operator, "math": math}
#: Higher-order operators that run nothing but the graphs and operators that the program gives them.
_HIGHER_ORDER = set(
    "cond switch while_loop while_loop_stack_output map_impl scan associative_scan foreach_map "
    "flex_attention flex_attention_backward out_dtype invoke_subgraph strict_mode hints_wrapper with_effects "
    "wrap wrap_with_autocast wrap_with_set_grad_enabled wrap_activation_checkpoint tag_activation_checkpoint "
    "auto_functionalized auto_functionalized_v2".split()
)


def check_operator(target: str) -> None:
    """Raise unless *target* is an operator that computes on its arguments.

    Raises:
        UnsafeProgramError: It is another function of Python, or an operator that writes or reads files.
    """
    if not _computes(_resolve(target)):
        msg = "which is not a torch operator that is known to be safe here"
        raise UnsafeProgramError(msg)


def _resolve(target: str) -> object:
    """Return what torch's loader resolves the name to; None if the name has no such form."""
    match = _NAME.fullmatch(target)
    if match is None:
        return None
    try:
        return reduce(getattr, match["path"].split("."), _ROOTS[match["root"]])
    except (AttributeError, RuntimeError):
        return None


def _computes(function: object) -> bool:
    if isinstance(function, torch._ops.HigherOrderOperator):
        return function.name() in _HIGHER_ORDER
    if isinstance(function, torch._ops.OpOverload):
        return not any("file" in argument.name for argument in function._schema.arguments)
    return any(function is known for known in _SYM_OPS)
