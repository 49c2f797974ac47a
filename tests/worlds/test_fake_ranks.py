"""Ranks of fake worlds against closed forms of their shapes, and against the model on one device."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from worlds.cases import BLOCKS, CASES, HERE, SP, TOKENS, TP, VOCABULARY, WIDE, WIDTH, step_of

import profiler
from profiler.errors import InputError, InstallationError
from profiler.worlds import private_names
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.stages import block_range
from profiler.worlds.step import Step

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
#: Weights of a block and of the embedding and the head, and of their norms.
BLOCK, EMBEDDING = 4 * WIDTH * WIDTH + 3 * WIDTH * WIDE + 2 * WIDTH, VOCABULARY * WIDTH
PARAMS = BLOCKS * BLOCK + 2 * EMBEDDING + WIDTH
HIDDEN = 4 * 2 * TOKENS * WIDTH


def rank_of(mesh, rank=0, step=None, **options):
    plan = ParallelPlan(parse_mesh(mesh), **options)
    with fake_ranks(rank, plan.mesh.world):
        return profile_rank(step or step_of(plan), plan)


def total(p, *kinds):
    return sum(row.payload_bytes for row in p.communication if row.kind in kinds)


def test_fsdp_holds_a_share_and_gathers_everything_in_each_pass():
    p = rank_of("dp=8", data_parallel="fsdp")
    assert (p.totals.params, p.totals.global_params) == (PARAMS // 8, PARAMS)
    assert total(p, "reduce_scatter") == 4 * PARAMS
    # the root is not freed after its forward pass
    assert 4 * PARAMS < total(p, "all_gather") <= 2 * 4 * PARAMS
    # two moments of each parameter, and a counter of each of the parameter tensors
    assert p.totals.peak_memory["optimizer_state"] == 8 * p.totals.params + 4 * (9 * BLOCKS + 3)
    assert p.is_complete


def test_ddp_reduces_every_gradient_once():
    p = rank_of("dp=4", data_parallel="ddp")
    rows = [row for row in p.communication if row.kind == "all_reduce"]
    assert {(row.axis, row.group_size, row.ranks) for row in rows} == {("dp", 4, (0, 1, 2, 3))}
    assert total(p, "all_reduce") == 4 * PARAMS


def test_tensor_parallel_ranks_divide_the_products_and_reduce_four_hidden_states_a_block():
    whole, part = rank_of("tp=1"), rank_of("tp=4", tp_plan=TP)
    head = 3 * 2 * TOKENS * WIDTH * VOCABULARY
    assert part.totals.macs == (whole.totals.macs - head) // 4 + head
    forward = [row for row in part.communication if row.kind == "all_reduce" and row.phase == "forward"]
    assert sum(row.payload_bytes for row in forward) == 2 * BLOCKS * HIDDEN
    assert {row.axis for row in part.communication} == {"tp"}


def test_sequence_parallel_ranks_gather_and_scatter_instead_of_reducing():
    p = rank_of("tp=4", tp_plan=SP)
    assert total(p, "reduce_scatter") >= 2 * BLOCKS * HIDDEN
    assert total(p, "all_reduce") < HIDDEN


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_the_stages_of_a_pipeline_have_the_parameters_and_the_work_of_the_model(schedule):
    ranks = [rank_of("pp=3", rank, schedule=schedule, microbatches=4) for rank in range(3)]
    whole = rank_of("tp=1", microbatches=4)
    assert sum(p.totals.params for p in ranks) == PARAMS
    # the first stage has no gradient of its input, which the whole model has none of either
    assert sum(p.phases["forward"].macs for p in ranks) == whole.phases["forward"].macs
    # torch 2.11 also shakes hands with 4 bytes for each neighbour, though nobody answers
    sent = [sum(row.payload_bytes for row in p.communication if row.kind == "send") for p in ranks]
    assert [divmod(size, HIDDEN)[0] for size in sent] == [4, 8, 4]
    assert max(size % HIDDEN for size in sent) <= 8


def test_1f1b_holds_fewer_microbatches_than_gpipe():
    peaks = {
        schedule: rank_of("pp=3", 2, schedule=schedule, microbatches=8).totals.peak_memory["total"]
        for schedule in ("gpipe", "1f1b")
    }
    assert peaks["1f1b"] < peaks["gpipe"]


def test_axes_that_span_the_world_are_named():
    assert {row.axis for row in rank_of("pp=3", 1, microbatches=3).communication} == {"pp"}


def test_a_forward_pass_has_no_backward():
    p = rank_of("dp=2", step=Step(f"{HERE}:llama", (f"{TOKENS}:int64",), 2), data_parallel="fsdp")
    assert p.phases["backward"].macs == 0
    assert p.phases["forward"].macs > 0
    assert total(p, "reduce_scatter") == 0


def test_checkpointed_ranks_recompute_their_blocks_and_reduce_in_the_backward_phase():
    step = Step(f"{HERE}:llama", (f"{TOKENS}:int64",), 2, train=True, checkpoint=True)
    p = rank_of("dp=2", step=step, data_parallel="fsdp")
    assert p.phases["recompute"].macs > 0
    assert {row.phase for row in p.communication if row.kind == "reduce_scatter"} == {"backward"}


def test_fsdp_gathers_in_the_dtype_that_is_asked_for_and_reduces_in_float32():
    p = rank_of("dp=2", data_parallel="fsdp", param_dtype="bfloat16")
    assert {(row.kind, row.dtype) for row in p.communication} == {
        ("all_gather", "bfloat16"),
        ("reduce_scatter", "float32"),
    }


def test_blocks_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="7 blocks do not divide into 4 stages"):
        block_range(7, 0, 4)
    with pytest.raises(InputError, match="3 blocks do not fill 4 stages"):
        block_range(3, 0, 4)
    assert sum(len(block_range(126, i, 16)) for i in range(16)) == 126
    assert [i for r in (block_range(126, i, 16) for i in range(16)) for i in r] == list(range(126))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mesh": "tp=3", "tp_plan": TP}, "32 features, which do not divide over tp=3"),
        ({"mesh": "tp=2", "tp_plan": f"{HERE}:llama"}, "is no plan; write a dict"),
        ({"mesh": "tp=2"}, "no tensor-parallel plan is known for Sequential"),
        ({"mesh": "tp=2", "tp_plan": "nofile.py:plan"}, "no file 'nofile.py'"),
    ],
)
def test_a_plan_that_does_not_fit_the_model_is_refused_in_one_line(options, message):
    with pytest.raises(profiler.errors.ProfilerError, match=message):
        rank_of(**options)
    assert not dist.is_initialized()


def test_a_plan_that_names_no_module_of_the_model_is_refused(tmp_path):
    file = tmp_path / "plans.py"
    file.write_text(
        "from torch.distributed.tensor.parallel import ColwiseParallel\nplan = {'layers.*.q': ColwiseParallel()}\n"
    )
    with pytest.raises(InputError, match=r"names 'layers\.\*\.q', and the model has no such module"):
        rank_of("tp=2", tp_plan=f"{file}:plan")


def test_a_process_that_has_a_process_group_is_told_so():
    with fake_ranks(0, 2), pytest.raises(InputError, match="in a process group of its own"), fake_ranks(0, 2):
        pass


@pytest.mark.parametrize("name", private_names.PARTS)
def test_a_torch_that_lacks_a_part_says_which(name, monkeypatch):
    assert private_names.find(name) is not None
    monkeypatch.setitem(private_names.PARTS, name, "torch.no_such_module")
    with pytest.raises(InstallationError, match=f"has no torch.no_such_module.{name}, which a world needs"):
        private_names.find(name)


def test_every_case_is_a_valid_plan():
    for ranks, cases in CASES.items():
        assert all(ParallelPlan(parse_mesh(mesh, ranks), **options) for mesh, options in cases.values())
