"""``profiler TARGET --world …``: the report on roles, one rank in any format, and every bad input in one line."""

from __future__ import annotations

import json

import pytest
import torch.distributed as dist
from cli.command import run

import profiler
from profiler.tally.saved import from_json

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
NETS = """
import torch
from torch import nn
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel

plan = {str(i): (ColwiseParallel, RowwiseParallel)[i % 2]() for i in range(6)}

def net():
    return nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(6)))

class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.num_experts, self.weight = 4, nn.Parameter(torch.zeros(4, 8, 8))

    def forward(self, x, chosen, weights):
        rows = x[chosen.flatten().argsort() // chosen.shape[1]]
        y = (rows.view(self.num_experts, -1, 8) @ self.weight).view(*chosen.shape, 8)
        return (y * weights.unsqueeze(-1)).sum(1)

class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = Experts()

    def forward(self, x):
        weights, chosen = x.topk(2)
        return self.experts(x, chosen % 4, weights)

def mixture():
    return Mixture()

class Attention(nn.Linear):
    def forward(self, x):
        q = super().forward(x).unsqueeze(1)
        return nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)

def attention():
    return Attention(16, 16, bias=False)
"""
NET = "nets.py:net"


@pytest.mark.usefixtures("here")
def test_the_roles_of_a_pipeline_are_counted_in_processes_of_their_own(capsys):
    words = [NET, "--world", "3", "--mesh", "pp=3", "--train", "--microbatches", "3", "-i", "8", "--optimizer", "sgd"]
    status, out, err = run(capsys, *words, "--quiet", "--format", "json")
    assert (status, err) == (0, "")
    world = json.loads(out)
    assert (world["schema"], world["mesh"]) == ("profiler-world/1", "pp=3")
    assert [(role["role"], role["rank"], role["ranks"]) for role in world["roles"]] == [
        ("first", 0, [0]), ("middle", 1, [1]), ("last", 2, [2]),
    ]  # fmt: skip
    profiles = [from_json(json.dumps(role["profile"])) for role in world["roles"]]
    # two layers a stage, three microbatches of one sample; the first stage has no gradient of its input
    assert [p.totals.macs for p in profiles] == [3 * 64 * 5, 3 * 64 * 6, 3 * 64 * 6]
    assert not dist.is_initialized()


@pytest.mark.usefixtures("here")
def test_one_rank_is_shown_like_any_profile(capsys):
    status, out, err = run(capsys, NET, "--mesh", "dp=4", "--fsdp", "-i", "8", "--rank", "3", "--quiet")
    assert (status, err) == (0, "")
    assert f"{NET} · rank 3 of dp=4" in out
    assert "all_gather" in out
    assert "96 float32 of 384 in all" in out


@pytest.mark.usefixtures("here")
def test_balanced_routing_is_said_of_all_roles_and_of_one_rank(capsys):
    words = ["nets.py:mixture", "--world", "4", "--mesh", "dp=4", "--fsdp", "-i", "8", "-b", "2", "--quiet"]
    said = {(): "experts over 2 ranks, balanced routing", ("--rank", "1"): "routing is taken as balanced"}
    for more, text in said.items():
        status, out, err = run(capsys, *words, "--expert-parallel", "2", *more)
        assert (status, err) == (0, "")
        assert "dp=4" in out.splitlines()[0]
        assert text in out
        # two tokens by two experts of 8·8: each rank does as much as one that has all experts
        assert "256 MAC" in out or " 256 " in out


@pytest.mark.usefixtures("here")
def test_ranks_of_the_axis_dp_share_sequences():
    options = {"inputs": ["8x16"], "data_parallel": "fsdp", "train": False}
    world = profiler.world("nets.py:attention", "dp=4", context_parallel=2, **options)
    assert str(world.plan.mesh) == "dp=2,cp=2"
    # a layer of 16·16 for four of eight tokens, and two products of 16 for a half of the 36 scores that the mask leaves
    assert world.totals.masked_macs == 4 * (4 * 256 + 2 * 16 * 18)


@pytest.mark.usefixtures("here")
def test_a_tensor_parallel_rank_is_compared_with_the_counter_of_torch(capsys):
    words = [NET, "--mesh", "tp=2", "--tp-plan", "nets.py:plan", "-i", "8", "--rank", "1", "--quiet"]
    status, out, err = run(capsys, *words, "--against", "flop_counter", "--strict", "--format", "json")
    assert (status, err) == (0, "")
    total = json.loads(out)["findings"][0]
    # six layers of 8·8, of which this rank multiplies a half
    assert (total["claimed"], total["ours"], total["unexplained"]) == (2 * 6 * 64, 2 * 6 * 32, 0)
    assert [(cause["code"], cause["amount"]) for cause in total["causes"]] == [("FCM-DTENSOR", -2 * 6 * 32)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--world", "8"], "does not say how ranks are arranged; add --mesh dp=8"),
        (["--world", "8", "--mesh", "dp=3"], "the mesh dp=3 has 3 ranks, and the world 8"),
        (["--mesh", "x=2"], "the mesh has no axis 'x'; the axes are pp, replicate, dp, cp, tp"),
        (["--mesh", "dp=2,dp=2"], "the axis dp twice"),
        (["--mesh", "dp=6", "--context-parallel", "4"], "from the axis dp=6, which does not divide by 4"),
        (["--mesh", "cp=2", "--context-parallel", "2"], "mean the same; give one of them"),
        (["--mesh", "dp=2", "--context-parallel", "0"], "--context-parallel is 0"),
        (["--mesh", "cp=2"], "say how they are kept with --fsdp, --ddp or --hsdp"),
        (["--mesh", "dp=6", "--fsdp", "--expert-parallel", "4"], "from dp=6, which does not divide by it"),
        (["--mesh", "dp=2", "--fsdp", "--expert-parallel", "0"], "--expert-parallel is 0"),
        (["--mesh", "dp=2", "--ddp", "--expert-parallel", "2"], "use --fsdp or --hsdp"),
        (["--mesh", "dp=3,tp=2", "--fsdp", "--expert-parallel", "3"], "must be a multiple of tp=2"),
        (["--mesh", "dp=3,tp=2", "--fsdp", "--expert-parallel", "4"], "from dp·tp=6, which does not divide by it"),
        (["--mesh", "dp=2", "--fsdp", "--expert-parallel", "2"], "has none that are known"),
        (["--mesh", "dp=0"], "the size of the axis dp is '0'"),
        (["--mesh", "dp"], "the size of the axis dp is ''"),
        (["--mesh", "dp=99999999999999999999"], "write an integer from 1 to"),
        (["--mesh", "dp=2"], "the mesh has the axis dp=2; say how it is used with --fsdp, --ddp or --hsdp"),
        (["--mesh", "dp=2", "--ddp", "--fsdp"], "--ddp and --fsdp use the axis dp in two ways"),
        (["--mesh", "tp=2", "--fsdp"], "--fsdp needs the axis dp in the mesh"),
        (["--mesh", "dp=2", "--hsdp"], "--hsdp needs the axis replicate in the mesh"),
        (["--mesh", "dp=2", "--fsdp", "--tp-plan", "auto"], "which the mesh lacks; add it"),
        (["--mesh", "pp=2", "--schedule", "zigzag"], "no schedule 'zigzag'; write gpipe, 1f1b or interleaved:CHUNKS"),
        (["--mesh", "pp=2", "--schedule", "interleaved:0"], "no schedule 'interleaved:0'"),
        (["--mesh", "dp=2", "--fsdp", "--schedule", "gpipe"], "add the axis pp"),
        (["--mesh", "pp=2", "--schedule", "interleaved:2", "--microbatches", "3"], "3 do not divide"),
        (["--mesh", "pp=4", "--microbatches", "3"], "1f1b keeps all 4 stages busy only with as many microbatches"),
        (["--mesh", "dp=2,pp=2", "--ddp"], "--ddp does not go with the axis pp"),
        (["--mesh", "dp=2", "--fsdp", "--microbatches", "0"], "the number of microbatches is 0"),
        (["--mesh", "dp=2", "--fsdp", "--rank", "2"], "no rank 2 in a world of 2; write a number from 0 to 1"),
        (["--mesh", "dp=2", "--fsdp", "--rank", "0", "--roles"], "give one of them"),
        (["--mesh", "dp=2", "--fsdp", "--format", "svg"], "--format svg shows one rank; add --rank"),
        (["--mesh", "dp=2", "--fsdp", "--device", "cpu"], "--device does not apply to the ranks of a world"),
        (["--mesh", "dp=2", "--fsdp", "--on", "l4"], "no links of l4"),
        (
            ["--mesh", "dp=2", "--fsdp", "--against", "fvcore"],
            "--against fvcore does not apply to the ranks of a world",
        ),
        (["--mesh", "dp=2", "--fsdp", "--against", "flop_counter"], "compares one rank of a world; add --rank 0"),
        (["--mesh", "tp=2", "--autocast", "bfloat16"], "add --fsdp, or use --dtype"),
        (["--fsdp"], "the options of a world need one; add --world and --mesh"),
        (["--rank", "0"], "the options of a world need one"),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_world_that_cannot_be_is_refused_in_one_line(words, message, capsys):
    status, out, err = run(capsys, NET, "-i", "8", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mesh", "pp=5", "--train", "--microbatches", "5"], "6 blocks do not divide into 5 stages"),
        (["--mesh", "dp=2", "--fsdp", "--batch", "3", "--microbatches", "2"], "a batch of 3 does not divide into 2"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_only_the_rank_can_tell_is_refused_in_one_line_too(words, message, capsys):
    status, out, err = run(capsys, NET, "-i", "8", "--quiet", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
