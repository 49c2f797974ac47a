"""A language model in service, on devices made for the case."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

import profiler
from profiler.devices import find_device
from profiler.projection.device_memory import USABLE
from profiler.projection.serving import CountedService, Service, ServingPlan, plan_service


def plan(memory_bytes: int | None) -> ServingPlan:
    """Plan 3 users of 60 + 4 tokens, each of 8 elements in the cache, on a device with so much memory."""
    profile = profiler.count(nn.Linear(64, 64, device="meta"), torch.empty(3, 64, device="meta"))
    service = CountedService(Service(3, 60, 4), profile, profile, cache_elements_per_token=8)
    memory_gib = None if memory_bytes is None else memory_bytes / 2**30
    return plan_service(service, replace(find_device("l4"), memory_gib=memory_gib), precision="bf16")


def test_a_service_fits_as_long_as_no_byte_is_missing():
    roomy = plan(2**30)
    needed = sum(int(figure.value) for figure in (roomy.weights, roomy.kv_cache, roomy.workspace))
    full = plan(math.ceil(needed / USABLE))
    assert (full.free.value, full.fits) == (0, True)
    assert (plan(math.floor((needed - 1) / USABLE)).fits, roomy.fits) == (False, True)


def test_where_the_memory_is_unknown_a_service_is_taken_to_fit():
    assert (plan(None).free, plan(None).fits) == (None, True)
