"""The time of a step of a world, against what its parts say."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from worlds.cases import TOKENS, step_of

from profiler.errors import DeviceError
from profiler.projection import project
from profiler.report.world_tables import RoleRow, WorldTimeRow, world_text
from profiler.worlds.fake_world import fake_ranks
from profiler.worlds.mesh import parse_mesh
from profiler.worlds.plan import ParallelPlan
from profiler.worlds.rank_step import profile_rank
from profiler.worlds.roles import distinct_roles
from profiler.worlds.world import World
from profiler.worlds.world_time import world_time

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built")
DEVICE = "h100-sxm5-80gb"


def world_of(mesh, **options):
    plan = ParallelPlan(parse_mesh(mesh), **options)
    profiles = []
    for role in distinct_roles(plan):
        with fake_ranks(role.rank, plan.mesh.world):
            profiles.append(profile_rank(step_of(plan), plan))
    return World("llama", plan, distinct_roles(plan), tuple(profiles))


def test_a_step_takes_at_least_what_one_rank_computes_and_all_tokens_count():
    world = world_of("dp=4", data_parallel="fsdp", microbatches=2)
    time = world_time(world, DEVICE)
    alone = project(world.profiles[0], DEVICE)
    assert time.step.bound_s >= alone.bound_s.value
    assert time.step.low_s >= alone.estimate_low_s.value
    assert time.step.high_s >= alone.estimate_high_s.value
    assert time.tokens_per_step == 4 * 2 * 2 * TOKENS
    assert time.model_flops == 4 * world.profiles[0].model_flops
    assert time.mfu == pytest.approx(time.model_flops / (4 * time.peak_ops_per_s * time.step.estimate_s))
    assert time.days(time.tokens_per_s * 86_400) == pytest.approx(1)


def test_the_slowest_stage_and_the_bubble_set_the_pace_of_a_pipeline():
    world = world_of("pp=3", microbatches=4)
    time = world_time(world, DEVICE)
    slowest = max(float(project(p, DEVICE).estimate_low_s.value) for p in world.profiles)
    assert time.step.bubble == 2 / 4
    assert time.step.low_s == pytest.approx(slowest * 1.5)
    assert time.tokens_per_step == 4 * 2 * TOKENS


def test_several_stages_on_a_rank_count_the_same_tokens():
    time = world_time(world_of("pp=2", microbatches=4, schedule="interleaved:2"), DEVICE)
    assert time.tokens_per_step == 4 * 2 * TOKENS


def test_a_device_without_links_is_refused():
    with pytest.raises(DeviceError, match="no links of l4"):
        world_time(world_of("dp=2", data_parallel="fsdp"), "l4")


def test_the_report_has_the_bound_the_range_and_the_days():
    world = world_of("dp=2", data_parallel="fsdp")
    row = WorldTimeRow(DEVICE, 1.0, 2.0, 3.0, 4.0, 0.25, 1000.0, 2, 0.4, 12.34)
    text = world_text("net", [RoleRow("every rank", (0, 1), 0, world.profiles[0])], row)
    assert "step at least 1.000 s (bound)" in text
    assert "step 3.000 s (estimate): 2.000 s at best, 4.000 s at worst" in text
    assert "1.000 k tokens/s, 500 a device; MFU 40.0%" in text
    assert "idles for 25.0% of its busy time" in text
    assert "12.3 days" in text
