"""Record which public functions of torch a model calls by name: all that a counter that patches functions can see.

The operators do not show it: ``torch.matmul(a, b)`` and ``a @ b`` run the same one. Nor does a patch see a function
that was imported before it, as in ``from torch.nn.functional import relu``. So the same names are patched here, for the
duration of one run, with functions that record the call and then make it.
"""

from __future__ import annotations

import functools
from collections import Counter
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from profiler.trace.argument_specs import SpecCache, detach
from profiler.trace.call_facts import FunctionCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_NAMESPACES = {"torch": torch, "torch.Tensor": torch.Tensor, "torch.nn.functional": functional}
#: The functions to record, by the namespace in which a caller looks them up.
_NAMES = {
    "torch": "matmul mm bmm addmm baddbmm mul add".split(),
    "torch.Tensor": "matmul mm bmm addmm mul add".split(),
    "torch.nn.functional": (
        "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
        "relu prelu elu relu6 gelu silu softmax upsample interpolate "
        "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
    ).split(),
}


@contextmanager
def record_function_calls(module: Callable[[], str]) -> Iterator[Counter[FunctionCall]]:
    """Count the calls made inside the block on this thread; *module* returns the path of the running module."""
    calls: Counter[FunctionCall] = Counter()
    specs, thread = SpecCache(), get_ident()

    def recording(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            output = function(*args, **kwargs)
            if get_ident() == thread:
                inputs, keywords = (_spec(specs, v) for v in (args, tuple(kwargs.items())))
                calls[FunctionCall(name, module(), inputs, keywords, _spec(specs, output))] += 1
            return output

        return call

    originals = [(space, name, getattr(_NAMESPACES[space], name)) for space, names in _NAMES.items() for name in names]
    try:
        for space, name, function in originals:
            setattr(_NAMESPACES[space], name, recording(f"{space}.{name}", function))
        yield calls
    finally:
        for space, name, function in originals:
            setattr(_NAMESPACES[space], name, function)


def _spec(specs: SpecCache, value: Any) -> Any:
    """Return the spec of an argument, with every float as it is: a scale factor determines the cost of ``upsample``."""
    if isinstance(value, (list, tuple)):
        return tuple(_spec(specs, item) for item in value)
    return value if isinstance(value, float) else detach(specs.spec(value))
