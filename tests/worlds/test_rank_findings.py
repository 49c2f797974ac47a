"""FlopCounterMode on a rank: it counts the whole model, which a departure explains to the last FLOP."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from worlds.cases import BLOCKS, HERE, SP, TOKENS, TP, VOCABULARY, WIDTH, llama

from profiler.errors import InputError
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_findings import check_counters
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.step import Step

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
#: FLOPs of the layers of the model: the head, and the four projections and three products of each block.
HEAD = 2 * 2 * TOKENS * WIDTH * VOCABULARY


def findings(mesh, rank=0, factory="llama", **options):
    plan = ParallelPlan(parse_mesh(mesh), **options)
    with fake_ranks(rank, plan.mesh.world):
        step = Step(f"{HERE}:{factory}", (f"{TOKENS}:int64",), 2)
        return profile_rank(step, plan, against=("flop_counter",)).findings


def of_the_whole_model():
    """Return what FlopCounterMode counts of the model that is not divided."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        llama()(torch.zeros(2, TOKENS, dtype=torch.int64))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("mesh", "options", "undivided"),
    [("tp=4", {"tp_plan": TP}, HEAD), ("dp=2,tp=2", {"tp_plan": SP, "data_parallel": "fsdp"}, 0)],
)
def test_torch_counts_the_work_of_all_ranks_on_each(mesh, options, undivided):
    total, *modules = findings(mesh, 1, **options)
    tp = parse_mesh(mesh).size("tp")
    attention = BLOCKS * 2 * 2 * 2 * TOKENS * TOKENS * WIDTH
    layers = of_the_whole_model() - attention
    # attention is not among distributed tensors: a rank calls it with its own heads, which newer versions count
    counted = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu in flop_registry
    amounts = {cause.code: cause.amount for cause in total.causes}
    assert total.claim.claimed == layers + counted * attention // tp
    assert amounts["FCM-DTENSOR"] == -(layers - undivided) * (tp - 1) // tp
    assert {f.unexplained for f in (total, *modules)} == {0}
    (cause,) = (cause for cause in total.causes if cause.code == "FCM-DTENSOR")
    assert "tp times too much" in cause.why


def test_without_distributed_tensors_there_is_no_such_departure():
    total, *modules = findings("dp=2", data_parallel="ddp")
    assert "FCM-DTENSOR" not in {cause.code for cause in total.causes}
    assert {f.unexplained for f in (total, *modules)} == {0}


def test_ranks_that_do_not_run_the_model_itself_are_refused():
    with pytest.raises(InputError, match="leave those axes out"):
        findings("cp=2", data_parallel="fsdp")


def test_counters_of_a_rank_are_checked():
    with pytest.raises(InputError, match="--against thop does not apply to the ranks of a world; with --rank"):
        check_counters(["flop_counter", "thop"], has_rank=True)
    with pytest.raises(InputError, match="add --rank 0"):
        check_counters(["flop_counter"], has_rank=False)
    check_counters(["flop_counter"], has_rank=True)
