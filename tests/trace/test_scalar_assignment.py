"""Numbers that are assigned to a part of a tensor cost the same on ``meta`` as on the CPU."""

from __future__ import annotations

import pytest
import torch

import profiler


def every_assignment(x: torch.Tensor, mask: torch.Tensor) -> None:
    x[1:3] = 5
    x[..., 0] = 2.5
    x[0, 0] = True
    x[[0, 2]] = 1
    x[mask] = -1.0
    x[:] = 7
    for i in range(2):
        x[i : i + 1, 1:] = i


def rows(device: str) -> dict[str, tuple[int, int, int, int]]:
    x, mask = torch.zeros(4, 6, device=device), torch.zeros(4, 6, dtype=torch.bool, device=device)
    with profiler.profile() as p:
        every_assignment(x, mask)
    return {o.operator: (o.calls, o.totals.bytes_read, o.totals.bytes_written, o.totals.flops) for o in p.operators}


def test_an_assignment_on_meta_counts_as_on_the_cpu():
    assert rows("meta") == rows("cpu")


def test_a_part_that_is_filled_is_written_once():
    x = torch.zeros(4, 6, device="meta")
    with profiler.profile() as p:
        x[1:3] = 5
    assert [(o.operator, o.totals.bytes_written) for o in p.operators] == [("aten.fill_", 2 * 6 * 4)]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_scalar_that_is_no_assignment_is_recorded(device):
    x = torch.zeros(3, device=device)
    with profiler.profile() as p:
        torch.where(x > 0, x, 0.0)
    assert "aten.scalar_tensor" in {o.operator for o in p.operators}
