"""What a profile adds up to."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import InputError

X = torch.ones(2, 3, 8, 8)
COSTS = ("macs", "masked_macs", "other_flops", "transcendentals", "flops", "bytes_read", "bytes_written", "params")


def model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.GELU()), nn.Flatten(), nn.Linear(144, 5)
    )


@pytest.fixture(scope="module")
def p() -> profiler.Profile:
    return profiler.count(model(), X)


@pytest.mark.parametrize("cost", COSTS)
def test_the_root_is_the_sum_of_its_nodes(p, cost):
    assert getattr(p.tree.total, cost) == sum(getattr(node.own, cost) for node in p.nodes.values())
    assert getattr(p.totals, cost) == getattr(p.tree.total, cost)


@pytest.mark.parametrize("cost", [c for c in COSTS if c != "params"])
def test_the_operators_and_the_phases_sum_to_the_whole(p, cost):
    assert sum(getattr(row.totals, cost) for row in p.operators) == getattr(p.totals, cost)
    assert sum(getattr(totals, cost) for totals in p.phases.values()) == getattr(p.totals, cost)


def test_flops_are_two_for_each_mac_and_the_rest(p):
    # conv: 2·4·6·6 outputs of 27 products; linear: 2·5 of 144
    assert p.totals.macs == 2 * 4 * 36 * 27 + 2 * 5 * 144
    assert p.totals.flops == 2 * p.totals.macs + p.totals.other_flops


@pytest.mark.parametrize("mode", ["eval", "train", "mixed"])
def test_the_mode_is_that_of_all_modules_or_mixed(mode):
    net = model().train(mode != "eval")
    net[1].train(mode == "train")
    with profiler.profile(net) as p:
        net(X)
    assert p.mode == mode


def test_a_block_without_a_model_has_no_calls_and_holds_nothing():
    with profiler.profile() as p:
        torch.ones(3) @ torch.ones(3)
    assert (p.macs, p.tree.module.calls) == (3, 0)
    for totals in (p.totals, p.tree.total):
        assert (totals.params, totals.trainable_params, totals.buffers) == (0, 0, 0)


def test_what_a_model_gets_after_the_block_is_not_its_own():
    net = model()
    params = sum(parameter.numel() for parameter in net.parameters())
    with profiler.profile(net) as p:
        net(X)
    net.append(nn.Linear(5, 5))
    assert (p.params, len(p.modules)) == (params, 7)


def test_profiles_of_one_model_add_up():
    net = model()
    one, other = profiler.count(net, X), profiler.count(net, torch.ones(3, 3, 8, 8))
    both = one + other
    assert both.totals.macs == one.totals.macs + other.totals.macs
    assert both.totals.params == one.totals.params
    assert both.nodes["0"].module.calls == 2


def test_adding_equal_runs_makes_no_new_entries():
    net = model()
    one = profiler.count(net, X)
    assert len((one + profiler.count(net, X)).entries) == len(one.entries)


def test_profiles_of_different_models_do_not_add():
    with pytest.raises(InputError, match=r"^cannot add profiles of different models: Sequential and Linear differ"):
        profiler.count(model(), X) + profiler.count(nn.Linear(8, 8), X)


def test_a_recording_adds_like_its_profile():
    net = nn.Linear(8, 8)
    with profiler.profile(net) as a:
        net(X)
    with profiler.profile(net) as b:
        net(X)
    assert (a + b).totals.macs == (a + b.result).totals.macs == 2 * a.totals.macs


def test_a_tied_weight_counts_once():
    a, b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    b.weight = a.weight
    p = profiler.count(nn.Sequential(a, b), torch.ones(1, 4))
    assert p.totals.params == 16
    assert (p.nodes["0"].own.params, p.nodes["1"].own.params) == (16, 0)


def test_two_halves_of_one_storage_count_as_two():
    both = torch.ones(8)
    net = nn.Module()
    net.a, net.b = nn.Parameter(both[:4]), nn.Parameter(both[4:])
    with profiler.profile(net) as p:
        pass
    assert p.totals.params == 8


def test_trainable_and_frozen_parameters_and_buffers_are_apart():
    net = model()
    net[0].requires_grad_(False)
    t = profiler.count(net, X).totals
    assert (t.params, t.trainable_params) == (4 * 27 + 4 + 8 + 725, 8 + 725)
    assert t.buffers == 4 + 4 + 1


def test_parameters_are_told_by_dtype():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).bfloat16())
    with profiler.profile(net) as p:
        pass
    assert p.params_by_dtype == (("bfloat16", 6), ("float32", 6))


def test_a_lazy_parameter_counts_once_it_is_there():
    net = nn.LazyLinear(5)
    with profiler.profile(net) as p:
        before = p.totals.params
        net(torch.ones(1, 7))
    assert (before, p.totals.params) == (0, 40)


def test_a_lazy_parameter_that_is_never_made_counts_nothing():
    net = nn.Sequential(nn.Linear(2, 2))
    net.other = nn.LazyLinear(5)
    with profiler.profile(net) as p:
        net[0](torch.ones(1, 2))
    assert (p.totals.params, p.totals.trainable_params) == (6, 6)


def test_what_is_filled_is_written_and_not_read():
    x, others = torch.ones(4, 4), [torch.ones(3), torch.ones(5)]
    with profiler.profile() as p:
        x.fill_(3)
        x.zero_()
        torch._foreach_zero_(others)
    assert [(entry.bytes_read, entry.bytes_written) for entry in p.entries] == [(0, 64), (0, 64), (0, 32)]


def test_what_has_no_formula_is_uncounted_and_makes_the_total_a_bound():
    library = torch.library.Library("profiler_test_uncounted", "DEF")
    library.define("mystery(Tensor x) -> Tensor")
    library.impl("mystery", lambda x: x + 1, "CompositeExplicitAutograd")
    with profiler.profile() as p:
        for _ in range(3):
            torch.ops.profiler_test_uncounted.mystery(torch.ones(4))
    assert [(row.operator, row.calls) for row in p.uncounted] == [("profiler_test_uncounted.mystery.default", 3)]
    assert not p.is_complete
    assert "≥" in str(p)


def test_a_profile_is_frozen(p):
    with pytest.raises(AttributeError):
        p.model = "another"
