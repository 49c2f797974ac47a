"""Ranks of fake worlds against closed forms of their shapes, and against the model on one device."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from worlds.cases import (
    ATTENTION,
    BLOCKS,
    CASES,
    CHOICES,
    EXPERTS,
    HERE,
    SP,
    TOKENS,
    TP,
    VOCABULARY,
    WIDE,
    WIDTH,
    case,
    step_of,
)

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


def test_ddp_reduces_once_for_all_microbatches():
    p = rank_of("dp=4", data_parallel="ddp", microbatches=3)
    assert total(p, "all_reduce") == 4 * PARAMS
    assert p.totals.macs == 3 * rank_of("dp=4", data_parallel="ddp").totals.macs


@pytest.mark.parametrize("microbatches", [1, 2])
def test_ddp_replicates_what_tensor_parallel_ranks_hold(microbatches):
    p = rank_of("dp=2,tp=4", data_parallel="ddp", tp_plan=TP, microbatches=microbatches)
    alone = rank_of("tp=4", tp_plan=TP, microbatches=microbatches)
    assert p.totals.macs == alone.totals.macs
    assert p.totals.params == alone.totals.params
    reduced = {row.axis: row.payload_bytes for row in p.communication if row.kind == "all_reduce" and row.axis == "dp"}
    assert reduced == {"dp": 4 * alone.totals.params}


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


def test_ranks_that_share_sequences_divide_what_the_mask_leaves():
    whole, parts = rank_of("tp=1"), [rank_of("cp=4", rank, data_parallel="fsdp") for rank in range(4)]
    for phase in ("forward", "backward"):
        assert sum(p.phases[phase].masked_macs for p in parts) == whole.phases[phase].masked_macs
        assert len({p.phases[phase].macs for p in parts}) == 1
    assert (parts[0].totals.params, parts[0].totals.global_params) == (PARAMS // 4, PARAMS)


@pytest.mark.parametrize("ranks", [2, 4])
def test_keys_and_values_are_gathered_and_their_gradients_go_round_the_ring(ranks):
    p = rank_of(f"cp={ranks}", data_parallel="fsdp")
    for kind, phase in (("all_gather", "forward"), ("all_gather", "backward"), ("all_to_all", "backward")):
        same = [row for row in p.communication if (row.axis, row.kind, row.phase) == ("cp", kind, phase)]
        # keys and values of all tokens; of the gradients, each of the ranks' steps moves a share to the next rank
        assert sum(row.payload_bytes for row in same) == BLOCKS * 2 * HIDDEN
        sent = BLOCKS * 2 * HIDDEN if kind == "all_to_all" else BLOCKS * 2 * HIDDEN * (ranks - 1) // ranks
        assert sum(row.wire_bytes for row in same) == sent
    assert total(p, "reduce_scatter") == 4 * PARAMS


def test_a_model_of_transformers_calls_causal_attention_in_training_without_a_mask_of_all_scores():
    step = Step(f"{HERE}:transformers_llama", (f"{TOKENS}:int64",), 2, train=True)
    forward = rank_of("dp=2", step=step, data_parallel="fsdp").phases["forward"]
    scores, left = TOKENS * TOKENS, TOKENS * (TOKENS + 1) // 2
    # two layers of two products, for two sequences
    assert forward.macs - forward.masked_macs == 2 * 2 * 2 * WIDTH * (scores - left)


def test_parameters_are_sharded_over_the_axes_dp_and_cp_together():
    p = rank_of("dp=2,cp=2", data_parallel="fsdp")
    assert p.totals.params == PARAMS // 4
    assert {(row.axis, row.group_size) for row in p.communication} == {("dp_cp", 4), ("cp", 2)}


MIXTURE = BLOCKS * (4 * WIDTH * WIDTH + EXPERTS * 2 * WIDTH * WIDE + WIDTH * EXPERTS + 2 * WIDTH)
MIXTURE += 2 * EMBEDDING + WIDTH


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_that_divide_experts_do_as_much_as_one_that_has_them_all(ranks):
    plan = ParallelPlan(parse_mesh("tp=1"))
    whole = rank_of("tp=1", step=step_of(plan, "mixture"))
    p = rank_of("dp=4", step=step_of(plan, "mixture"), data_parallel="fsdp", expert_parallel=ranks)
    assert {n: t.macs for n, t in p.phases.items()} == {n: t.macs for n, t in whole.phases.items()}
    assert whole.totals.params == p.totals.global_params == MIXTURE
    assert p.totals.params == MIXTURE // 4


@pytest.mark.parametrize("ranks", [2, 4])
def test_tokens_travel_to_their_experts_and_back(ranks):
    step = step_of(ParallelPlan(parse_mesh("tp=1")), "mixture")
    p = rank_of("dp=4", step=step, data_parallel="fsdp", expert_parallel=ranks)
    rows = [row for row in p.communication if row.kind == "all_to_all"]
    assert {(row.axis, row.group_size) for row in rows} == {("ep", ranks)}
    assert {row.module for row in rows} == {f"{i}.feed_forward.experts" for i in range(1, BLOCKS + 1)}
    chosen = CHOICES * 2 * TOKENS
    for phase, counts in (("forward", EXPERTS), ("backward", 0)):
        # hidden states there and back, the weight of each, and in the forward pass how many an expert gets
        sizes = BLOCKS * 4 * (2 * chosen * WIDTH + chosen + counts)
        mine = [row for row in rows if row.phase == phase]
        assert sum(row.payload_bytes for row in mine) == sizes
        assert sum(row.wire_bytes for row in mine) == sizes * (ranks - 1) // ranks
    gathered = [row for row in p.communication if row.axis == "edp"]
    assert {row.group_size for row in gathered} in ([{4 // ranks}] if ranks < 4 else [set(), {1}])


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
@pytest.mark.parametrize("ranks", [2, 4])
def test_tensor_parallel_ranks_send_a_part_of_their_tokens_each(ranks):
    step = step_of(ParallelPlan(parse_mesh("tp=1")), "mixture")
    options = {"step": step, "data_parallel": "fsdp", "tp_plan": ATTENTION, "expert_parallel": ranks}
    p, whole = rank_of("dp=2,tp=2", 3, **options), rank_of("tp=1", step=step)
    # of the layers, the head and the routers alone are not divided
    undivided = 3 * 2 * TOKENS * WIDTH * (VOCABULARY + BLOCKS * EXPERTS)
    assert p.totals.macs == (whole.totals.macs - undivided) // 2 + undivided
    forward = [row for row in p.communication if row.phase == "forward"]
    sent = [row for row in forward if row.kind == "all_to_all"]
    assert {(row.axis, row.group_size) for row in sent} == {("ep", ranks)}
    chosen = CHOICES * 2 * TOKENS // 2
    assert sum(row.payload_bytes for row in sent) == BLOCKS * 4 * (2 * chosen * WIDTH + chosen + EXPERTS)
    gathered = [row for row in forward if (row.kind, row.axis) == ("all_gather", "tp")]
    assert sum(row.payload_bytes for row in gathered) == BLOCKS * HIDDEN
    assert p.totals.global_params == MIXTURE


def test_experts_that_are_fewer_than_the_ranks_are_sharded_along_another_dimension():
    step = step_of(ParallelPlan(parse_mesh("tp=1")), "mixture")
    p = rank_of("dp=16", 15, step=step, data_parallel="fsdp", expert_parallel=4)
    gathered = [row for row in p.communication if (row.axis, row.kind) == ("edp", "all_gather")]
    assert sum(row.payload_bytes for row in gathered if row.phase == "forward") == BLOCKS * 4 * 2 * WIDTH * WIDE
    # a quarter of one expert; of the rows of a router there is none for the last rank
    assert p.totals.params == (MIXTURE - BLOCKS * EXPERTS * WIDTH) // 16


def test_fewer_experts_are_held_at_a_time():
    step = step_of(ParallelPlan(parse_mesh("tp=1")), "mixture")
    ways = {n: rank_of("dp=4", step=step, data_parallel="fsdp", expert_parallel=n) for n in (1, 4)}
    assert ways[4].totals.peak_memory["gathered"] < ways[1].totals.peak_memory["gathered"]


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


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # of torch, for the embedding
def test_stages_of_one_block_or_the_embedding_alone_are_checkpointed_under_fsdp():
    # two blocks in four stages, two on each rank: an embedding and a block; a block and the head
    step = Step(f"{HERE}:transformers_llama", (f"{TOKENS}:int64",), 2, train=True, checkpoint=True)
    options = {"data_parallel": "fsdp", "schedule": "interleaved:2", "microbatches": 2}
    ranks = [rank_of("pp=2,dp=2", rank, step=step, **options) for rank in (0, 2)]
    whole = rank_of("dp=2", step=step, data_parallel="fsdp")
    assert [p.phases["recompute"].macs > 0 for p in ranks] == [True, True]
    assert sum(p.phases["recompute"].macs for p in ranks) == whole.phases["recompute"].macs
    assert sum(p.totals.params for p in ranks) == whole.totals.params


@pytest.mark.parametrize("rank", [0, 2])
def test_a_stage_of_transformers_under_fsdp_reduces_its_gradients_once_a_step(rank):
    step = Step(f"{HERE}:transformers_llama", (f"{TOKENS}:int64",), 4, train=True)
    p = rank_of("pp=2,dp=2", rank, step=step, data_parallel="fsdp", microbatches=4)
    gradients = 4 * p.totals.global_params
    assert total(p, "reduce_scatter") == gradients
    assert p.totals.peak_memory["gradient"] == gradients, "whole ones, until the last microbatch"


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


@pytest.mark.parametrize(
    ("factory", "tokens", "options", "message"),
    [
        (
            "llama",
            16,
            {"mesh": "dp=4", "expert_parallel": 2},
            "divides experts, and Sequential has none that are known",
        ),
        ("mixture", 16, {"mesh": "dp=6", "expert_parallel": 3}, "has 4 experts, which do not divide over 3 ranks"),
        ("mixture", 1, {"mesh": "dp=4", "expert_parallel": 2}, "do not spread evenly over 4 experts"),
        (
            "llama",
            18,
            {"mesh": "cp=4"},
            "divides dimension 1 of each input, its sequence; that of 2×18 does not divide",
        ),
        ("llama", 12, {"mesh": "cp=4"}, "two parts of a sequence, and 12 tokens do not divide; choose a multiple of 8"),
        ("masked", 16, {"mesh": "cp=2"}, "the model passes a mask to attention"),
        ("recurrent", 16, {"mesh": "cp=2"}, r"1 \(LSTM\) mixes along the sequence"),
        ("pointwise", 16, {"mesh": "cp=2"}, "calls no torch.nn.functional.scaled_dot_product_attention"),
    ],
)
def test_sequences_and_experts_that_do_not_divide_are_refused_in_one_line(factory, tokens, options, message):
    step = Step(f"{HERE}:{factory}", (f"{tokens}:int64",), min(2, tokens), train=True)
    with pytest.raises(InputError, match=message):
        rank_of(step=step, data_parallel="fsdp", **options)


@pytest.mark.parametrize("factory", ["llama", "transformers_llama"])
def test_recomputation_exchanges_keys_and_values_once_more(factory):
    ways = {}
    for checkpoint in (False, True):
        step = Step(f"{HERE}:{factory}", (f"{TOKENS}:int64",), 2, train=True, checkpoint=checkpoint)
        ways[checkpoint] = rank_of("cp=2", step=step, data_parallel="fsdp")
    gathered = {phase: ring_gathers(ways[True], phase) for phase in ("forward", "recompute", "backward")}
    assert gathered["forward"] == gathered["recompute"] == ring_gathers(ways[False], "forward") > 0
    assert gathered["backward"] == ring_gathers(ways[False], "backward")
    attention = {phase: attention_macs(ways[True], phase) for phase in ("forward", "recompute")}
    assert attention["forward"] == attention["recompute"] > 0


def ring_gathers(p, phase):
    return sum(
        row.payload_bytes for row in p.communication if (row.kind, row.axis, row.phase) == ("all_gather", "cp", phase)
    )


def attention_macs(p, phase):
    return sum(e.macs for e in p.entries if e.record.phase == phase and "attention" in e.record.packet)


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
    assert all(case(ranks, name) for ranks, cases in CASES.items() for name in cases)


def test_worlds_of_one_process_do_not_know_each_others_groups():
    for mesh, rank in (("dp=4,tp=2", 0), ("pp=2,dp=2,tp=2", 0), ("pp=2,dp=2,tp=2", 4)):
        plan = ParallelPlan(parse_mesh(mesh), "fsdp", TP, "1f1b", 2)
        with fake_ranks(rank, plan.mesh.world):
            axes = {row.axis for row in profile_rank(step_of(plan), plan).communication}
        assert axes == {axis for axis, _ in plan.mesh.sizes}
