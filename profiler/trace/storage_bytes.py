"""Look at the bytes of a storage without an operator, and without the methods of tensors that are observed."""

from __future__ import annotations

import ctypes

import torch

from profiler.trace.dispatch_stack import hidden

#: About so many bytes are read, evenly spaced: enough to notice that a kernel has written.
_SAMPLE = 4096


def sample(storage: torch.UntypedStorage) -> bytes:
    """Return some of the bytes of a storage on the CPU, from its whole length; empty on any other device."""
    size = storage.nbytes()
    address = _address(storage) if storage.device.type == "cpu" else 0
    if not size or not address:
        return b""
    view = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    return view[:: _step(size)].tobytes()


def is_zero(storage: torch.UntypedStorage) -> bool:
    """Return whether the sampled bytes are zero, or cannot be read now."""
    if storage.device.type == "cuda":
        return _is_zero_on_gpu(storage)
    return not any(sample(storage))


def address_range(storage: torch.UntypedStorage) -> range:
    """Return the addresses of a storage; empty where it has no memory."""
    start = _address(storage)
    return range(start, start + storage.nbytes()) if start else range(0)


def _address(storage: torch.UntypedStorage) -> int:
    """Return where a storage begins; 0 if it has no memory, as on meta, or of a fake tensor or a wrapper subclass."""
    if storage.device.type == "meta":
        return 0
    try:
        return storage.data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0


def _is_zero_on_gpu(storage: torch.UntypedStorage) -> bool:
    if torch.cuda.is_current_stream_capturing():
        return True
    with hidden():
        values = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        return not bool(values[:: _step(storage.nbytes())].any())


def _step(size: int) -> int:
    """Return an odd step, so that the sample has every byte of an element."""
    return (size // _SAMPLE) | 1
