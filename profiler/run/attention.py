"""The option ``--attention``: which kernels scaled dot-product attention may run in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from torch.nn.attention import SDPBackend, sdpa_kernel


def sdpa_kernels(attention: Literal["flash", "math"]) -> AbstractContextManager[object]:
    """Return a context in which attention is composed of products and a softmax ("math"), or runs as torch picks."""
    return sdpa_kernel(SDPBackend.MATH) if attention == "math" else nullcontext()
