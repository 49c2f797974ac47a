"""Tell a run of the user's model from one in which torch traces a program or works out the metadata of results.

Such a run computes nothing that the user asked for: ``torch.export``, ``make_fx`` and ``torch.fx`` record a program,
higher-order operators trace their functions to differentiate them, and DTensor runs each operator on fake or meta
tensors to learn the shape and the sharding of its result. Torch keeps a mode active meanwhile, except for DTensor. A
mode that was active when the profile began, or whose tensors are the parameters of the model, is the user's: a fake
model is profiled like any other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx._symbolic_trace import is_fx_symbolic_tracing

from profiler.trace.argument_specs import TENSORS
from profiler.trace.inner_tensors import inner_tensors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

_active_mode = torch._C._get_dispatch_mode
#: Counts the active dispatch modes of this thread, those of torch's own machinery included.
count_modes = torch._C._len_torch_dispatch_stack
_FAKE = torch._C._TorchDispatchModeKey.FAKE
_FUNCTIONAL = torch._C._TorchDispatchModeKey.FUNCTIONAL
_PROXY = torch._C._TorchDispatchModeKey.PROXY
#: Runs operators to learn the sharding and the metadata of results, and for nothing else.
_SHARDING = "torch.distributed.tensor._sharding_prop"
#: Defines operators in Python, by those of ``prims``.
_REFERENCES = "torch._refs"
_NO_MODE = frozenset({id(None)})


class TracingDetector:
    """Detects on the current thread whether torch traces, since the profile began."""

    def __init__(self) -> None:
        """Start without a mode of the user's."""
        self._users = _NO_MODE
        self._modes: tuple[object, ...] = ()
        self._is_symbolic = False
        self._has_subclasses = False
        #: How many dispatch modes were active when the profile began, its own not among them.
        self.modes = 0
        #: How torch called modules then: ``torch.fx`` replaces it while it traces.
        self.module_call: object = None

    def start(self, tensors: Iterable[torch.Tensor]) -> None:
        """Take the modes that are active now, and those of the fake ones among *tensors*, as the user's."""
        wrapped = (tensor for tensor in tensors if type(tensor) not in TENSORS)
        inner = (part for tensor in wrapped for part in inner_tensors(tensor))
        fakes = [part.fake_mode for part in inner if isinstance(part, FakeTensor)]
        # holds the modes, so that no other gets their address
        self._modes = (None, *fakes, *map(_active_mode, (_FAKE, _FUNCTIONAL, _PROXY)))
        self._users = frozenset(map(id, self._modes))
        self._is_symbolic = is_fx_symbolic_tracing()
        self.modes, self.module_call = count_modes(), nn.Module.__call__

    def stop(self) -> None:
        """Drop the references to the modes."""
        self._modes = ()
        self._users = _NO_MODE

    def on_subclass(self) -> None:
        """Note that an operator was left to a tensor subclass: only then need we look whether it is DTensor."""
        self._has_subclasses = True
        self.modes = -1  # from now on every operator is looked at

    def is_tracing(self) -> bool:
        """Return whether what runs now is torch's own, and not the user's.

        It is not so long as `count_modes` returns ``modes`` where the profile's own mode is not active, as in its
        handler, and ``nn.Module.__call__`` is ``module_call``: that is quicker to ask.
        """
        users = self._users
        if (
            id(_active_mode(_FAKE)) not in users
            or id(_active_mode(_PROXY)) not in users
            or id(_active_mode(_FUNCTIONAL)) not in users
        ):
            return True
        if is_fx_symbolic_tracing() and not self._is_symbolic:
            return True
        return self._has_subclasses and _propagates_sharding()


def is_meta_kernel(args: Iterable[Any]) -> bool:
    """Return whether a ``prims`` operator runs in a kernel that torch has written in Python for ``meta``.

    C++ calls it for the metadata of a result: so does the sum of a tensor and a zero tangent, on any device.
    """
    tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
    return bool(tensors) and all(tensor.is_meta for tensor in tensors) and _is_called_from(_REFERENCES)


def _propagates_sharding() -> bool:
    """Return whether DTensor works out the sharding and metadata of a result.

    For that it runs the operator, or its decomposition, on fake and on meta tensors of all ranks together.
    """
    return _is_called_from(_SHARDING)


def _is_called_from(module: str) -> bool:
    """Return whether a function of the named module is running."""
    file = getattr(sys.modules.get(module), "__file__", None)
    frame: FrameType | None = sys._getframe(1) if file is not None else None
    while frame is not None:
        if frame.f_code.co_filename == file:
            return True
        frame = frame.f_back
    return False
