"""Ranks of gloo, in processes of their own, against fake ones: the same MACs, parameters, exchanges and memory.

What differs, and by how much, is in the table of docs/distributed.md; each line of it is a test here.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch.distributed as dist
from worlds.cases import CASES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="no gloo"),
]
SCRIPT = Path(__file__).with_name("cases.py")
TIMEOUT_S = 600
PAIRS = [(ranks, name) for ranks, cases in CASES.items() for name in cases]
PIPELINES = {(ranks, name) for ranks, name in PAIRS if "pp=" in CASES[ranks][name][0]}
SEQUENCES = {(ranks, name) for ranks, name in PAIRS if "sp" in name.split()}
RINGS = {(ranks, name) for ranks, name in PAIRS if "cp=" in CASES[ranks][name][0]}


def start(folder, rank, ranks, mode):
    words = [str(rank), str(ranks), str(folder / "store"), str(folder / f"{mode}{rank}"), mode]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, str(SCRIPT), *words], stderr=subprocess.PIPE, text=True, env=environment)


def run(folder, processes):
    try:
        errors = [process.communicate(timeout=TIMEOUT_S)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error[-3000:]


@cache
def measured(ranks):
    """Return the figures of every rank in every case, of real ranks and of fake ones."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, [start(folder, rank, ranks, "real") for rank in range(ranks)])
        run(folder, [start(folder, rank, ranks, "fake") for rank in range(ranks)])
        return {m: [json.loads((folder / f"{m}{r}").read_text()) for r in range(ranks)] for m in ("real", "fake")}


def pairs(ranks, name):
    found = measured(ranks)
    return [(real[name], fake[name]) for real, fake in zip(found["real"], found["fake"], strict=True)]


def exchanged(figures):
    """Return the rows of the table of communication, without the handshake of a pipeline: 4 bytes to each neighbour."""
    rows = [ast.literal_eval(row) for row in figures["communication"]]
    return [row for row in rows if not (row["dtype"] == "int32" and row["axis"] == "pp")]


@pytest.mark.parametrize(("ranks", "name"), PAIRS)
def test_work_parameters_and_exchanges_are_equal_on_every_rank(ranks, name):
    for real, fake in pairs(ranks, name):
        assert real["macs"] == fake["macs"]
        assert real["params"] == fake["params"]
        assert exchanged(real) == exchanged(fake)
        assert real["uncounted"] == fake["uncounted"] == []
        # the handshake of a pipeline adds one number for each neighbour that it hears from
        assert 0 <= sum(real["other_flops"].values()) - sum(fake["other_flops"].values()) <= 2


@pytest.mark.parametrize(("ranks", "name"), [pair for pair in PAIRS if pair not in PIPELINES | SEQUENCES | RINGS])
def test_peak_memory_is_equal_but_for_a_buffer_that_a_thread_of_gloo_may_hold_for_a_moment(ranks, name):
    for real, fake in pairs(ranks, name):
        largest = max(row["payload_bytes"] // row["calls"] for row in exchanged(real))
        assert 0 <= real["peak_memory"] - fake["peak_memory"] <= largest


@pytest.mark.parametrize(("ranks", "name"), sorted(PIPELINES - RINGS))
def test_a_real_pipeline_holds_at_most_what_it_has_sent_as_well(ranks, name):
    for real, fake in pairs(ranks, name):
        sent = sum(row["payload_bytes"] for row in exchanged(real) if row["kind"] in {"send", "all_to_all"})
        assert 0 <= real["peak_memory"] - fake["peak_memory"] <= sent


@pytest.mark.parametrize(("ranks", "name"), sorted(RINGS))
def test_real_ranks_of_a_ring_hold_keys_and_values_that_they_still_wait_for(ranks, name):
    for real, fake in pairs(ranks, name):
        each = [row["payload_bytes"] // row["calls"] for row in exchanged(real) if row["axis"] in {"cp", "pp"}]
        assert 0 <= real["peak_memory"] - fake["peak_memory"] <= 3 * max(each)


@pytest.mark.parametrize(("ranks", "name"), sorted(SEQUENCES))
def test_sequence_parallel_ranks_hold_an_exchange_more_or_less(ranks, name):
    for real, fake in pairs(ranks, name):
        assert abs(real["peak_memory"] - fake["peak_memory"]) <= real["peak_memory"] / 10


def test_every_rank_of_a_symmetric_world_does_the_same():
    for ranks, name in PAIRS:
        if (ranks, name) not in PIPELINES | RINGS:
            assert len({json.dumps([fake["macs"], fake["peak_memory"]]) for _, fake in pairs(ranks, name)}) == 1
