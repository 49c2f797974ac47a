"""Attention and encoder layers in eval mode take their fast path on ``meta``, as on other devices.

Without gradients, ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` call one fused operator on the CPU, on
CUDA, and on the device of a backend that registers its name. ``meta`` is not among these devices, although it can run
the operators (that of a layer in newer versions). So ``meta`` stands here as the name of that backend, unless there
is one.

A padded batch would become a nested tensor, whose sequences have the lengths that a mask tells. On ``meta`` it tells
none: there the padding is computed.

Source: torch/nn/modules/activation.py (_check_arg_device) and transformer.py of torch.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import backend_registration

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_OF_NO_BACKEND = "privateuseone"
_LAYER = "_transformer_encoder_layer_fwd"


@contextmanager
def encoder_fast_paths_on_meta() -> Iterator[None]:
    """Run attention and encoder layers on ``meta`` as other devices do; torch is changed for all threads."""
    name = backend_registration._privateuse1_backend_name
    library = torch.library.Library("aten", "IMPL")
    try:
        library.impl("_nested_tensor_from_mask_left_aligned", _is_left_aligned, "Meta")
        if not torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{_LAYER}", "Meta"):
            library.impl(_LAYER, _layer, "Meta")
        if name == _NAME_OF_NO_BACKEND:
            backend_registration._privateuse1_backend_name = "meta"
        yield
    finally:
        if name == _NAME_OF_NO_BACKEND:
            backend_registration._privateuse1_backend_name = name
        library._destroy()


def _layer(src: torch.Tensor, *_: Any) -> torch.Tensor:
    return src.new_empty(src.shape)


def _is_left_aligned(*_: Any) -> bool:
    return False
