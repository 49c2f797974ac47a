"""Record ``flex_attention`` as it runs in eager mode: it stores all scores and applies the user's functions to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profiler.trace.value_readers import count_unmasked, with_values
from profiler.util.dispatch_modes import PlainDispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from profiler.trace.argument_specs import SpecCache
    from profiler.values.records import TensorSpec

_aten = torch.ops.aten
_PRODUCTS = frozenset({_aten.bmm.default, _aten.mm.default, _aten.matmul.default})


class FlexAttention(PlainDispatchMode):
    """Records the operators inside a call, except its two matrix products.

    The products are counted with the call itself, where the number of unmasked scores is known too.
    """

    supports_higher_order_operators = True

    def __init__(self, dispatch: Callable[..., Any], specs: SpecCache) -> None:
        """Run every other operator through *dispatch*, the ``__torch_dispatch__`` of the recording mode."""
        super().__init__()
        self._dispatch = dispatch
        self._specs = specs
        self._expects_product = True
        #: The scores passed to the softmax, with the number of those that are not masked.
        self.scores: TensorSpec | None = None

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and record it, except the first product and the first one after the softmax."""
        if self._expects_product and func in _PRODUCTS:
            self._expects_product = False
            return func(*args, **kwargs or {})
        if func is _aten._safe_softmax.default:
            self._expects_product = True
            self.scores = with_values(self._specs.spec(args[0]), args[0], count_unmasked)
        return self._dispatch(func, types, args, kwargs)
