"""Values of tensors on ``meta``: what is known is what the CPU computes, and what is not known is not answered."""

from __future__ import annotations

import pytest
import torch

from profiler.trace.known_values import known_value, known_values


def ones(*shape, **options):
    return torch.ones(*shape, device=options.pop("device"), **options)


def _written_through_a_view(device):
    base = torch.arange(12, device=device).view(3, 4)
    base[1, :2] = 7
    base.t()[3].mul_(2)
    return base


def _literals(device):
    table = torch.tensor([[1, 2], [3, 4]], device=device)
    return table[:, [-1, 0]] + table.sum()


def _selected(device):
    positions = torch.arange(6, device=device)
    return positions[positions % 2 == 0].nonzero()


def _causal(device):
    rows = torch.arange(5, device=device)
    return torch.full((5, 5), float("-inf"), device=device).triu(1) + (rows[:, None] >= rows)


def _filled(device):
    mask = torch.empty(4, 4, device=device, dtype=torch.long)
    mask.fill_(1)
    mask[2:].zero_()
    return mask.cumsum(0).new_full((2, 2), 9) + mask[1:3, :2]


def _written_piece_by_piece(device):
    shapes = torch.empty((2, 2), dtype=torch.long, device=device)
    for level, (height, width) in enumerate([(4, 5), (2, 3)]):
        shapes[level, 0] = height
        shapes[level, 1] = width
    return shapes.prod(1).sum()


def _selected_of_equals(device):
    positions = torch.arange(2, device=device)
    sevens = torch.full((4,), 7, device=device)
    return sevens.index_select(0, positions) * 10 + sevens.gather(0, positions) + sevens[positions]


PROGRAMS = {
    "selected of equals": _selected_of_equals,
    "piece by piece": _written_piece_by_piece,
    "views and writes": _written_through_a_view,
    "literals": _literals,
    "sizes that follow from values": _selected,
    "causal": _causal,
    "filled": _filled,
    "equal elements": lambda device: ~(ones(2, 3, device=device) * 2 - 1).bool()[:, None].expand(2, 5, 3),
    "padding": lambda device: torch.nn.functional.pad(ones(1, 4, device=device), (0, 3)),
    "two kinds": lambda device: torch.cat([ones(2, device=device), torch.zeros(1, device=device)]).cumsum(0),
    "from the CPU": lambda device: torch.tensor([3, 1, 2]).to(device).sort()[0],
    "like another": lambda device: torch.ones_like(torch.empty(2, device=device)) + torch.linspace(0, 1, 2).to(device),
}


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_known_values_are_what_the_cpu_computes(program, mode):
    with mode():
        right = program("cpu")
        with known_values():
            result = program("meta")
            assert result.is_meta
            assert result.shape == right.shape
            torch.testing.assert_close(known_value(result), right, rtol=0, atol=0)
            assert result.tolist() == right.tolist()


def _unknown_operand(device):
    return ones(3, device=device) + torch.empty(3, device=device)


def _added_to_unknown(device):
    return torch.empty(3, device=device).add_(1)


def _overwritten(device):
    base = ones(3, device=device)
    base[1:].copy_(torch.empty(2, device=device))
    return base


def _overwritten_beside(device):
    base = ones(4, device=device)
    view = base[:2]
    base.add_(torch.empty(4, device=device))
    return view


def _overwritten_in_part(device):
    base = torch.empty(4, dtype=torch.long, device=device)
    base[1:] = torch.empty(3, dtype=torch.long, device=device) * torch.empty(1, device=device).long()
    base[0] = 1
    return base


def _random(device):
    return ones(3, device=device).bernoulli_(0.5) + torch.randperm(3, device=device)


def _reinterpreted(device):
    return torch.arange(4, device=device, dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize(
    "program",
    [
        _unknown_operand,
        _added_to_unknown,
        _overwritten,
        _overwritten_beside,
        _overwritten_in_part,
        _random,
        _reinterpreted,
    ],
)
def test_what_does_not_follow_from_known_values_is_not_known(program):
    with known_values():
        result = program("meta")
        assert known_value(result) is None
        with pytest.raises((RuntimeError, NotImplementedError)):
            result.sum().item()


def test_a_mask_of_any_size_is_asked_without_memory():
    with known_values():
        mask = torch.ones(10**6, 10**6, dtype=torch.bool, device="meta")
        assert mask.all()
        assert not (mask[None, :, None] == 0).any()
        assert known_value(torch.arange(10**12, device="meta")) is None


def test_values_end_with_their_tensors_and_their_block():
    with known_values():
        mask = torch.ones(3, device="meta")
    assert known_value(mask) is None
    with known_values():
        assert known_value(mask) is None
        for _ in range(3):  # a storage at the address of one that is gone
            assert known_value(torch.empty(3, device="meta")) is None
            torch.ones(3, device="meta")


def test_a_model_error_stays_its_own():
    def add(device):
        return torch.ones(3, device=device) + torch.ones(4, device=device)

    with pytest.raises(RuntimeError) as alone:
        add("meta")
    with known_values(), pytest.raises(RuntimeError) as caught:
        add("meta")
    assert str(caught.value) == str(alone.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to_sparse(),
        lambda x: x.as_subclass(type("Own", (torch.Tensor,), {})),
    ],
)
def test_a_tensor_without_elements_of_its_own_has_no_known_value(make):
    with known_values():
        assert known_value(make(torch.ones(3))) is None
        assert known_value(torch.ones(3)).tolist() == [1, 1, 1]
