"""Peers run while we count, in a pool that several counts can share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.peers import LiveModel, WorkerPool
from profiler.reconcile import count_and_compare

MODEL = LiveModel(nn.Linear(3, 4), (torch.ones(2, 3),), {})


def claimed(pool):
    finding, *_ = count_and_compare(["flop_counter"], MODEL, profiler.count, pool=pool)
    return finding.claim.claimed


def test_several_counts_share_a_pool():
    with WorkerPool(["torch"]) as pool:
        assert [claimed(pool), claimed(pool)] == [48, 48]
        assert pool.is_running


def test_a_pool_that_has_ended_is_replaced():
    with WorkerPool() as pool:
        pool.kill()
        assert claimed(pool) == 48


def test_the_peers_end_if_our_count_raises():
    def count(*_, **__):
        msg = "no count"
        raise ArithmeticError(msg)

    with WorkerPool() as pool:
        with pytest.raises(ArithmeticError, match="no count"):
            count_and_compare(["flop_counter"], MODEL, count, pool=pool)
        assert not pool.is_running
