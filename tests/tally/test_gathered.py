"""The work of several ranks, against a run of the whole model."""

from __future__ import annotations

import torch
from torch import nn

import profiler
from profiler.tally.gathered import Gathered, ModuleShare


def counted(*layers):
    return profiler.count(nn.Sequential(*layers), torch.ones(3, 4))


def test_a_module_that_only_the_ranks_run_has_a_row_and_one_that_nobody_works_in_has_none():
    ranks = Gathered((counted(nn.Linear(4, 4, bias=False), nn.Identity()),) * 2)
    assert ranks.compare(counted(nn.Identity(), nn.Identity())) == (ModuleShare("0", 2 * 3 * 16, 0, 0, 0),)


def test_a_module_that_only_the_ranks_run_without_products_has_a_row_too():
    ranks = Gathered((counted(nn.ReLU(), nn.Identity()),) * 2)
    assert ranks.compare(counted(nn.Identity(), nn.Identity())) == (ModuleShare("0", 0, 0, 2 * 12, 0),)


def test_the_parameters_of_the_whole_are_those_of_the_rank_that_knows_most():
    assert Gathered((counted(nn.Linear(4, 4)), counted(nn.Linear(4, 4), nn.Linear(4, 2)))).global_params == 20 + 10
