"""``flex_attention`` as it runs eagerly: with all scores in memory, and the user's functions applied to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.trace.value_readers import count_unmasked, read_values

if TYPE_CHECKING:
    from profiler.trace.recorder import Recorder
    from profiler.values.records import TensorSpec

_aten = torch.ops.aten
_PRODUCTS = frozenset({_aten.bmm.default, _aten.mm.default, _aten.matmul.default})


class FlexAttention(TorchDispatchMode):
    """Records what runs inside, except its two products: those are the call's own, where the mask is known too."""

    supports_higher_order_operators = True

    def __init__(self, recorder: Recorder) -> None:
        """Record for *recorder*."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self._expects_product = True
        #: The scores on which the softmax runs, with how many are not masked.
        self.scores: TensorSpec | None = None

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Pass an operator on to the recorder; leave out the first product, and the first after the softmax."""
        if self._expects_product and func in _PRODUCTS:
            self._expects_product = False
            return func(*args, **kwargs or {})
        if func is _aten._safe_softmax.default:
            self._expects_product = True
            self.scores = read_values(self._recorder.observer.value(args[0]), args[0], count_unmasked)
        return self._recorder.__torch_dispatch__(func, types, args, kwargs)
