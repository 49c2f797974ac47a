"""Which of torch's public functions a model calls by name: a counter that replaces functions sees these calls alone.

The operators do not tell: ``torch.matmul(a, b)`` and ``a @ b`` run the same, and so do ``F.relu(x)`` and a function
that was taken from its place before, as ``from torch.nn.functional import relu`` does. So the names are replaced here,
too, for as long as one run lasts, by functions that note the call and then make it.
"""

from __future__ import annotations

import functools
from collections import Counter
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional

from profiler.trace.argument_specs import SpecCache, dtype_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profiler.values.records import Value

_PLACES = {"torch": torch, "torch.Tensor": torch.Tensor, "torch.nn.functional": functional}
#: What is noted, by the place in which it is looked up.
NAMES = {
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


class FunctionCall(NamedTuple):
    """A distinct call of a public function."""

    #: Where it was looked up: ``torch.nn.functional.relu``.
    name: str
    #: The path of the module that was running.
    module: str
    inputs: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    output: Value


@contextmanager
def record_function_calls(module: Callable[[], str]) -> Iterator[Counter[FunctionCall]]:
    """Count the calls made inside, on this thread; *module* says whose forward is running."""
    calls: Counter[FunctionCall] = Counter()
    observer, thread = SpecCache(), get_ident()

    def noting(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            output = function(*args, **kwargs)
            if get_ident() == thread:
                inputs, keywords = (inert(observer, v) for v in (args, tuple(kwargs.items())))
                calls[FunctionCall(name, module(), inputs, keywords, inert(observer, output))] += 1
            return output

        return call

    originals = [(place, name, getattr(_PLACES[place], name)) for place, names in NAMES.items() for name in names]
    try:
        for place, name, function in originals:
            setattr(_PLACES[place], name, noting(f"{place}.{name}", function))
        yield calls
    finally:
        for place, name, function in originals:
            setattr(_PLACES[place], name, function)


def inert(observer: SpecCache, value: Any) -> Any:
    """Keep of an argument what can be kept: the spec of a tensor, and every number as it is."""
    if isinstance(value, (list, tuple)):
        return tuple(inert(observer, item) for item in value)
    if isinstance(value, float):
        return value
    seen = observer.value(value)
    return dtype_name(seen) if isinstance(seen, torch.dtype) else seen
