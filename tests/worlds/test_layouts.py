"""Layouts: figures extended from small worlds against the whole trace of the same rank, and what the search returns."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import torch.distributed as dist
from cli.command import run

from profiler.devices.server import server_of
from profiler.errors import InputError
from profiler.projection import project
from profiler.projection.communication import step_time
from profiler.report.layout_tables import DroppedRow, LayoutReport, LayoutRow, layouts_csv, layouts_json, layouts_text
from profiler.worlds.division import Division
from profiler.worlds.extension import Basis, Extension, Sizes, Verified, verify
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.figures_worker import SmallRank, figures_of
from profiler.worlds.layout_candidates import Search
from profiler.worlds.layout_figures import evaluate
from profiler.worlds.layout_step import search_of
from profiler.worlds.layouts import find_layouts
from profiler.worlds.mesh import Mesh, parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_figures import RankFigures
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.role_families import Family
from profiler.worlds.shortened import block_paths, build_shortened, divides_evenly, stack_of
from profiler.worlds.step import Step
from profiler.worlds.world_time import compute_time

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
DEVICE = "h100-sxm5-80gb"
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
    "num_attention_heads": 8, "num_key_value_heads": 4, "num_hidden_layers": 12, "vocab_size": 512,
    "max_position_embeddings": 256,
}  # fmt: skip
MIXTRAL = LLAMA | {
    "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_hidden_layers": 8, "num_local_experts": 4,
    "num_experts_per_tok": 2,
}  # fmt: skip
NETS = """
from torch import nn

class Block(nn.Module):
    def __init__(self, width=16, depth=1):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return x

def net():
    return nn.Sequential(nn.Linear(8, 16, bias=False), *(Block() for _ in range(9)), nn.Linear(16, 8, bias=False))

def even():
    return nn.Sequential(nn.Linear(8, 16, bias=False), *(Block() for _ in range(9)), nn.Linear(16, 16, bias=False))

def long():
    return nn.Sequential(nn.Linear(8, 16, bias=False), *(Block() for _ in range(10)), nn.Linear(16, 16, bias=False))

def uneven():
    return nn.Sequential(*(Block(depth=depth) for depth in (1, 2, 1)))

def two_stacks():
    return nn.ModuleDict({name: nn.Sequential(Block(), Block()) for name in ("encoder", "decoder")})

def plain():
    return nn.Linear(8, 8)

class Raising(Block):
    def forward(self, x):
        raise ValueError("no luck")

def raising():
    return nn.Sequential(*(Raising() for _ in range(4)))
"""


@pytest.fixture
def llama(tmp_path):
    return target_of(LLAMA, tmp_path / "llama")


@pytest.fixture
def mixtral(tmp_path):
    return target_of(MIXTRAL, tmp_path / "mixtral")


def target_of(config, folder):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return f"hf:{folder}/config.json"


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def traced(rank):
    with fake_ranks(rank.rank, rank.plan.mesh.world):
        return figures_of(rank, DEVICE, None)


def extension_of(family, step):
    """Return the verified extension of a family, traced in this process."""
    basis = family.basis
    figures = tuple(traced(family.small_rank(step, point)) for point in basis.points)
    further = [(point, traced(family.small_rank(step, point))) for point in family.verifying]
    verified = verify(Extension(basis, figures), further)
    assert isinstance(verified, Verified), verified
    return verified


def whole_profile(step, mesh, microbatches, rank=0, expert_parallel=1):
    """Return the profile of a rank of the whole model, traced as ``profiler TARGET --mesh`` does."""
    plan = ParallelPlan(parse_mesh(mesh), "fsdp", None, "1f1b", microbatches, "bfloat16", expert_parallel)
    with fake_ranks(rank, plan.mesh.world):
        return profile_rank(replace(step, batch=microbatches), plan)


def assert_is_the_trace(role, profile):
    assert role.macs == profile.totals.macs
    assert role.params == profile.totals.params
    assert role.model_flops == pytest.approx(profile.model_flops, rel=0.05)  # without a term for the sums of gradients
    assert role.sent_bytes == sum(row.wire_bytes for row in profile.communication)
    assert (role.memory_bytes, role.memory_kind) == (profile.totals.peak_memory["total"], "exact")
    time = step_time(
        profile.communication,
        server_of(DEVICE),
        compute=compute_time(project(profile, DEVICE)),
        stages=1 if role.part == "whole" else 2,
        microbatches=3,
    )
    assert role.compute_s == pytest.approx(project(profile, DEVICE).estimate_s.value, rel=0.02)
    if role.part != "whole":
        assert role.step.estimate_s == pytest.approx(time.estimate_s, rel=0.02)


def test_a_sharded_model_of_nine_blocks_is_extended_to_what_its_whole_trace_has(nets):
    step = Step(f"{nets}:even", ("8",), 1, train=True, optimizer="adamw")
    family = Family("whole", 1, checkpoint=False, others=2, shards=None)
    extension = extension_of(family, step)
    for mesh, microbatches in (("dp=2", 5), ("dp=8", 1)):
        layout = evaluate(Division(parse_mesh(mesh)), [(family, extension, 9)], microbatches, 1, DEVICE)
        profile = whole_profile(step, mesh, microbatches)
        assert_is_the_trace(layout.roles[0], profile)
        assert layout.tokens == microbatches * parse_mesh(mesh).world


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # of torch, for a language model's logits
def test_a_llama_of_twelve_blocks_is_extended_to_what_its_whole_trace_has(llama):
    step = search_of(llama, 8, DEVICE, 10_000, sequence=32).step
    family = Family("whole", 2, checkpoint=True, others=0, shards=None)
    layout = evaluate(Division(parse_mesh("dp=4,tp=2")), [(family, extension_of(family, step), 12)], 3, 32, DEVICE)
    assert_is_the_trace(layout.roles[0], whole_profile(replace(step, checkpoint=True), "dp=4,tp=2", 3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # of torch, for a language model's logits
@pytest.mark.parametrize("mesh", ["dp=8", "dp=2,tp=2"])
def test_a_mixture_whose_experts_are_divided_is_extended_to_what_its_whole_trace_has(mixtral, mesh):
    step = search_of(mixtral, 8, DEVICE, 10_000, sequence=32).step
    division = Division(parse_mesh(mesh), expert_parallel=4)
    dp, tp = (division.mesh.size(axis) for axis in ("dp", "tp"))
    family = Family("whole", tp, checkpoint=False, others=0, shards=dp, expert_parallel=4)
    layout = evaluate(division, [(family, extension_of(family, step), 8)], 3, 32, DEVICE)
    assert_is_the_trace(layout.roles[0], whole_profile(step, mesh, 3, expert_parallel=4))


@pytest.mark.slow
@pytest.mark.parametrize(("part", "rank"), [("first", 0), ("last", 2)])
def test_a_stage_of_a_pipeline_is_extended_to_what_its_whole_trace_has(nets, part, rank):
    step = Step(f"{nets}:long", ("8",), 1, train=True, optimizer="adamw")
    family = Family(part, 1, checkpoint=False, others=2, shards=None)
    role = evaluate(Division(parse_mesh("pp=2,dp=2")), [(family, extension_of(family, step), 6)], 5, 1, DEVICE).roles[0]
    profile = whole_profile(step, "pp=2,dp=2", 5, rank)
    assert (role.macs, role.params) == (profile.totals.macs, profile.totals.params)
    assert role.sent_bytes == sum(row.wire_bytes for row in profile.communication)
    assert (role.memory_bytes, role.memory_kind) == (profile.totals.peak_memory["total"], "exact")


def test_a_count_that_is_not_linear_is_found_at_a_further_point():
    basis = Basis(("", "n"), ("", "n"), (Sizes(3, 1, 2, 8), Sizes(4, 1, 2, 8)))
    figures = [RankFigures({"macs": n * n}, {}, {"a": n}) for n in (3, 4, 5)]
    extension = Extension(basis, tuple(figures[:2]))
    assert verify(extension, [(Sizes(5, 1, 2, 8), figures[2])]) == "macs is 25 and not 23 with 5 blocks"


@pytest.mark.parametrize(("level", "message"), [(90, ""), (99, "the memory at b is not linear, with 5 blocks")])
def test_a_level_that_is_not_linear_has_to_lie_below_the_peak(level, message):
    basis = Basis(("", "n"), ("", "n"), (Sizes(3, 1, 2, 8), Sizes(4, 1, 2, 8)))
    figures = [RankFigures({}, {}, {"a": 20 * n, "b": n}) for n in (3, 4)]
    outcome = verify(
        Extension(basis, tuple(figures)), [(Sizes(5, 1, 2, 8), RankFigures({}, {}, {"a": 100, "b": level}))]
    )
    if message:
        assert outcome == message
    else:
        assert outcome.loose == {"b"}
        assert outcome.at(Sizes(50, 1, 2, 8))[0].peak_bytes == 1000


def test_the_peak_passes_from_one_place_to_another():
    basis = Basis(("", "n"), ("", "n"), (Sizes(3, 1, 2, 8), Sizes(4, 1, 2, 8)))
    figures = tuple(RankFigures({}, {}, {"loss": 100 + n, "block": 10 * n}) for n in (3, 4))
    assert [Extension(basis, figures).at(Sizes(n, 1, 2, 8)).peak_bytes for n in (5, 80)] == [105, 800]


@pytest.mark.parametrize("blocks", [2, 9, 11])
def test_a_model_is_built_with_fewer_blocks_or_more(nets, blocks):
    model, _ = build_shortened(f"{nets}:net", None, blocks)
    assert sum(p.numel() for p in model.parameters()) == 2 * 8 * 16 + blocks * 16 * 16
    assert len(block_paths(f"{nets}:net", None, blocks)) == blocks
    assert model[0].in_features == 8
    assert list(model)[-1].out_features == 8
    assert (len(stack_of(f"{nets}:net", None).paths), stack_of(f"{nets}:net", None).units) == (9, 11)


@pytest.mark.parametrize(
    ("name", "message"),
    [("uneven", "differ from each other"), ("two_stacks", "in 2 containers"), ("plain", "in 0 containers")],
)
def test_a_model_without_one_stack_of_equal_blocks_is_refused(nets, capsys, name, message):
    words = ["layouts", f"{nets}:{name}", "--world", "8", "--on", "h100-sxm", "--batch-tokens", "64"]
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--world", "0"], "a world of 0 ranks"),
        (["--world", "8", "--batch-tokens", "nan"], "a batch of nan tokens is none"),
        (["--world", "8", "--on", "l4"], "no links of l4"),
        (["--world", "8", "--sequence", "5"], "--sequence 5 is the length of a sequence of tokens"),
        (["--world", "8", "--most", "0"], "--most 0 shows no layout"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(nets, capsys, words, message):
    options = {"--on": "h100-sxm", "--batch-tokens": "64", "--input": "8"} | dict(
        zip(words[::2], words[1::2], strict=True)
    )
    status, out, err = run(capsys, "layouts", f"{nets}:net", *itertools.chain(*options.items()))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_parameters_divide_evenly_or_not(nets):
    step = Step(f"{nets}:net")
    assert divides_evenly(step, Division(parse_mesh("dp=8")), 8)
    assert not divides_evenly(step, Division(parse_mesh("dp=16")), 16)  # the last layer has 8 rows


def test_the_groups_of_a_rank_are_those_that_torch_makes():
    mesh = Mesh((("pp", 2), ("dp", 2), ("tp", 2)))
    assert (mesh.group(5, "pp"), mesh.group(5, "dp"), mesh.group(5, "tp")) == ((1, 5), (5, 7), (4, 5))


def test_meshes_that_fit_are_ranked_and_the_others_have_a_reason(nets, monkeypatch):
    monkeypatch.setattr("profiler.worlds.role_families.cpu_count", lambda: 1)
    search = Search(Step(f"{nets}:net", ("8",), 1, train=True, optimizer="sgd"), 2, DEVICE, 16, 1, checkpoint=False)
    found = find_layouts(search)
    assert [str(layout.division) for layout in found.ranked] == ["dp=2"]
    assert found.ranked[0].tokens == 16
    assert found.ranked[0].mfu > 0
    reasons = {str(one.division): one.reason for one in found.dropped}
    assert reasons["dp=1,tp=2"].startswith("no tensor-parallel plan is known for Sequential")
    assert "11 blocks do not divide into 2 stages" in reasons["pp=2,dp=1"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")  # of torch, for a language model's logits
def test_a_mixture_is_also_laid_out_with_its_experts_divided(mixtral):
    found = find_layouts(search_of(mixtral, 2, DEVICE, 1024, sequence=32, checkpoint=False))
    layouts = {str(one.division): one for one in found.ranked}
    assert {"dp=2", "dp=2,ep=2", "dp=1,tp=2,ep=2"} <= layouts.keys()
    divided, whole = (layouts[name].roles[0] for name in ("dp=2,ep=2", "dp=2"))
    assert divided.macs == whole.macs, "routing is balanced"
    reasons = {str(one.division): one.reason for one in found.dropped}
    assert "experts" in reasons["dp=1,tp=2"], "transformers' plan divides each expert, which torch has no style for"


def test_a_model_that_raises_is_an_error_and_not_a_model_that_does_not_fit(nets, capsys):
    words = ["layouts", f"{nets}:raising", "--world", "1", "--on", DEVICE, "--batch-tokens", "1", "--input", "16", "-q"]
    status, out, err = run(capsys, *words)
    assert (status, out) == (3, "")
    assert "raised ValueError: no luck" in err
    assert err.count("\n") == 1


def rows():
    first = LayoutRow("dp=2", False, 4, 2, 800, 400.0, 0.5, 2**30, "whole", "exact", 2.0, 1.0, 1.5, 0.5, 0.0)
    second = replace(first, mesh="pp=2,dp=1", tokens_per_s=200.0, memory_kind="bound", step_s=4.0, idle_s=2.0)
    return [first, second]


def test_the_report_says_why_the_first_won_and_what_was_dropped():
    dropped = [DroppedRow("dp=1,tp=2", True, "no plan"), DroppedRow("dp=1,tp=2", False, "no plan")]
    text = layouts_text(LayoutReport("net", rows(), dropped, "Traced: 8."), most=10)
    assert "Why dp=2 (saved) is first: of its step it is 75% computing, 25% waiting for exchanges" in text
    assert "100.0% slower: for as many tokens it takes 2.000 s more idle in the pipeline" in text
    assert "≤ 1.000 GiB" in text
    assert "  dp=1,tp=2 (recomputed); dp=1,tp=2 (saved): no plan" in text
    assert text.endswith("Traced: 8.\n")
    assert "1 more layouts fit" in layouts_text(LayoutReport("net", rows(), [], ""), most=1)
    assert "No layout fits." in layouts_text(LayoutReport("net", [], dropped, ""), most=1)


def test_layouts_are_saved_with_every_digit():
    report = LayoutReport("net", rows(), [DroppedRow("dp=1,tp=2", True, "no plan")], "Traced: 8.")
    assert layouts_csv(report).splitlines()[1].startswith("dp=2,False,4,2,800,400.0,0.5,1073741824,whole,exact")
    assert json.loads(layouts_json(report))["dropped"] == [
        {"mesh": "dp=1,tp=2", "checkpoint": True, "reason": "no plan"}
    ]


def test_the_small_rank_has_the_blocks_of_its_part(nets):
    step = Step(f"{nets}:net", ("8",), 1, train=True)
    family = Family("first", 1, checkpoint=False, others=2, shards=None)
    small = family.small_rank(step, Sizes(blocks=6, in_flight=3, microbatches=4, shards=8))
    assert small == SmallRank(
        replace(step, blocks=6 * 3 - 2, batch=4),
        ParallelPlan(parse_mesh("pp=3,dp=8"), "fsdp", None, "1f1b", 4, "bfloat16"),
        0,
    )


def test_too_small_a_batch_is_refused():
    with pytest.raises(InputError, match="a batch of 10 tokens is less than one sequence of 64"):
        Search(Step("net"), 8, DEVICE, 10, 64)
