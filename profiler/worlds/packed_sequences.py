"""Tell transformers that no row of a batch holds several sequences, which it would read from positions.

A fake rank does not know the values of positions. Without them transformers takes rows for packed sequences, and builds
a mask of all scores where a real rank calls causal attention.

Source: find_packed_sequence_indices in transformers/masking_utils.py.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULE, _NAME = "transformers.masking_utils", "find_packed_sequence_indices"


@contextmanager
def one_sequence_per_row() -> Iterator[None]:
    """Let transformers find one sequence in each row in the block, whatever is known of the positions."""
    module: Any = sys.modules.get(_MODULE)
    original = getattr(module, _NAME, None)
    if original is None:
        yield
        return

    @wraps(original)
    def found(*args: Any, **kwargs: Any) -> None:
        sequences = original(*args, **kwargs)
        if sequences is not None:  # what a real rank does to find that there is one
            (sequences[:, -1] == 0).all()

    setattr(module, _NAME, found)
    try:
        yield
    finally:
        setattr(module, _NAME, original)
