"""Bytes of operators that copy into a part of a tensor."""

from __future__ import annotations

import torch
from torch import nn

import profiler


def test_index_copy_touches_the_rows_that_it_copies():
    """Two rows of 8 numbers of 4 bytes, and two indices of 8 bytes; the other 98 rows are left alone."""
    cache, index, rows = torch.zeros(100, 8), torch.tensor([3, 5]), torch.ones(2, 8)
    with profiler.profile(nn.Identity()) as p:
        cache.index_copy_(0, index, rows)
    assert (p.totals.bytes_read, p.totals.bytes_written) == (2 * 8 + 64, 64)
