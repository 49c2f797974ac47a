"""Save and restore the state of every global random generator: Python's, NumPy's, and torch's on each device."""

from __future__ import annotations

import random
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

#: Devices that have a generator each, besides the CPU.
_DEVICE_TYPES = ("cuda", "xpu")


def save_random_state() -> Callable[[], None]:
    """Return a function that resets the global generators to their state now.

    NumPy's is saved if it has been imported, and a device's if it has been used.

    Example:
        >>> restore = save_random_state()
        >>> first = random.random(), torch.rand(1).item()
        >>> restore()
        >>> (random.random(), torch.rand(1).item()) == first
        True
    """
    states: list[tuple[Callable[[Any], object], Any]] = [(random.setstate, random.getstate())]
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    if numpy_random is not None:
        states.append((numpy_random.set_state, numpy_random.get_state()))
    states.append((torch.set_rng_state, torch.get_rng_state()))
    for device_type in _DEVICE_TYPES:
        device = getattr(torch, device_type)
        if device.is_initialized():
            states.append((device.set_rng_state_all, device.get_rng_state_all()))
    if torch.backends.mps.is_available():
        states.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))

    def restore() -> None:
        for set_state, state in states:
            set_state(state)

    return restore


def generator_types() -> tuple[type, ...]:
    """Return the types of the generators that ``save_generator`` takes; NumPy's if it has been imported."""
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    numpys = () if numpy_random is None else (numpy_random.Generator, numpy_random.RandomState)
    return (torch.Generator, random.Random, *numpys)


def save_generator(generator: Any) -> Callable[[], object]:
    """Return a function that resets a generator to its state now."""
    if isinstance(generator, torch.Generator):
        return partial(generator.set_state, generator.get_state())
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    if hasattr(generator, "bit_generator"):
        return partial(setattr, generator.bit_generator, "state", generator.bit_generator.state)
    return partial(generator.set_state, generator.get_state())
