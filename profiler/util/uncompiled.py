"""Functions that the compiler leaves alone: a compiled function may call them, and they run as they are."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")


def uncompiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return *function* so that ``torch.compile`` does not compile it, nor what it calls.

    ``torch.compiler.disable`` does that, and imports the compiler, which takes seconds; here it is used only once the
    compiler has been imported, without which nothing is compiled.
    """

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        compiler = sys.modules.get("torch._dynamo")
        if compiler is None or not hasattr(compiler, "disable"):  # it is not imported, or not to its end
            return function(*args, **kwargs)
        result: _R = compiler.disable(function)(*args, **kwargs)
        return result

    run._torchdynamo_disable = True  # type: ignore[attr-defined]
    return run
