"""Pipelines: files, plans on shared devices, and the two included pipelines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from projection.counted import counted

from profiler.devices import find_device
from profiler.errors import PlanError, UnknownNameError
from profiler.projection import project
from profiler.projection.pipeline_file import Stage, list_pipelines, read_pipeline
from profiler.projection.pipeline_plan import CountedStage, plan_pipeline
from profiler.run.count_stage import count_stage

L4, A10 = find_device("l4"), find_device("a10")


def stage(rate: float, name: str = "a") -> CountedStage:
    return CountedStage(Stage(name, "resnet18", per_s=rate), counted("resnet18"), L4, "fp16")


def test_loads_and_tops_add_up_on_a_shared_device():
    one, both = plan_pipeline("one", [stage(10)], 0.3), plan_pipeline("both", [stage(10), stage(30, "b")], 0.3)
    assert both.devices[0].load.value == pytest.approx(4 * one.devices[0].load.value)
    assert both.devices[0].required_tops.value == pytest.approx(40 * counted("resnet18").totals.flops / 0.3 / 1e12)
    assert both.latency_s.value == pytest.approx(2 * one.latency_s.value)
    assert both.devices[0].memory.value == 2 * one.devices[0].memory.value


def test_the_load_is_the_rate_over_the_largest_of_the_projection():
    """A stage alone at its largest rate loads its device fully."""
    largest = float(project(counted("resnet18"), L4, precision="fp16").max_fps.value)
    full, half, over = (plan_pipeline("x", [stage(largest * share)]) for share in (1, 0.5, 1.01))
    assert full.devices[0].load.value == pytest.approx(1)
    assert half.headroom.value == pytest.approx(2)
    assert not over.fits


def test_a_stage_on_a_device_of_its_own_does_not_load_the_other():
    planned = plan_pipeline("two", [stage(10), replace(stage(10, "b"), device=A10)])
    assert [device.device for device in planned.devices] == ["l4", "a10"]
    assert planned.devices[0].load.value == pytest.approx(plan_pipeline("one", [stage(10)]).devices[0].load.value)


def test_memory_that_is_too_much_together_does_not_fit():
    small = replace(L4, memory_gib=0.05)
    pair = [replace(stage(1, name), device=small) for name in ("a", "b")]
    assert plan_pipeline("one", pair[:1]).fits
    assert not plan_pipeline("two", pair).fits


def test_a_cache_is_read_at_every_step():
    """24 GB at 300 GB/s add 80 ms to a step."""
    plain, cached = plan_pipeline("p", [stage(1)]), plan_pipeline("c", [replace(stage(1), cache_bytes=24 * 10**9)])
    assert cached.stages[0].estimate_s.value == cached.stages[0].bound_s.value  # the operators do not read this cache
    assert cached.stages[0].estimate_s.value > 0.08 > plain.stages[0].estimate_s.value
    weights = counted("resnet18").totals.params * 2
    assert cached.stages[0].bound_s.value == pytest.approx((weights + 24e9) / 300e9, rel=1e-3)
    assert cached.stages[0].load.value == pytest.approx(cached.stages[0].estimate_s.value)


def test_tokens_on_a_device_of_unknown_bandwidth_have_no_bound():
    profile, no_bandwidth = counted("hf:gpt2", "input_ids=1x1"), replace(L4, bandwidth_bytes_per_s=None)
    generating = Stage("a", "hf:gpt2", tokens_per_s=20.0, prompt=8)
    bounded, unbounded = (
        plan_pipeline("x", [CountedStage(generating, profile, device, "fp16", prefill=profile)]).stages[0]
        for device in (L4, no_bandwidth)
    )
    assert bounded.tokens_per_s_bound.value > 0
    assert unbounded.tokens_per_s_bound is None
    assert unbounded.critical_batch is None


@pytest.mark.parametrize(("rate", "passes_per_s"), [("per_s = 30", 30), ("every_s = 4", 0.25)])
def test_a_stage_runs_so_often_per_second_or_once_in_so_many(tmp_path, rate, passes_per_s):
    path = tmp_path / "p.toml"
    path.write_text(GOOD.replace("per_s = 30", rate))
    assert read_pipeline(str(path)).stages[0].passes_per_s == passes_per_s


@pytest.mark.parametrize("name", list_pipelines())
def test_what_is_shipped_can_be_read(name):
    assert read_pipeline(name).stages


def test_the_documents_pipelines_are_shipped():
    assert list_pipelines() == ["speech-to-speech", "vision-language"]


GOOD = 'name = "p"\n[[stages]]\nname = "a"\ntarget = "resnet18"\nper_s = 30\n'


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("per_s = 30", "per_s = 0"), "greater than or equal to 0.000000001"),
        (("per_s = 30", "per_s = -2"), "greater than or equal to 0.000000001"),
        (("per_s = 30", ""), "exactly one of per_s, every_s and tokens_per_s"),
        (("per_s = 30", "per_s = 30\nevery_s = 2"), "exactly one of"),
        (("per_s = 30", "tokens_per_s = 30"), "needs prompt and tokens_per_s together"),
        (("per_s = 30", "per_second = 30"), "per_second"),
        (("[[stages]]", "[[stage]]"), "stages"),
        (('target = "resnet18"', ""), "target"),
        (('name = "p"', "name = "), "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change, part):
    path = tmp_path / "p.toml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(PlanError) as caught:
        read_pipeline(str(path))
    assert part in str(caught.value)


def test_a_pipeline_that_is_not_shipped_is_an_error():
    with pytest.raises(UnknownNameError, match="no pipeline named 'vision'"):
        read_pipeline("vision")


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(PlanError, match=r"cannot read none\.toml"):
        read_pipeline("none.toml")


def test_the_key_value_cache_is_in_the_memory_of_a_stage_once(tmp_path):
    """Weights of 124 M, and 2 · 12 layers · 768 keys and values of 8 · 1000 tokens: in fp16, two bytes each."""
    path = tmp_path / "chat.toml"
    path.write_text(
        'name = "c"\n[[stages]]\nname = "a"\ntarget = "hf:gpt2"\nprompt = 1000\ntokens_per_s = 20\nbatch = 8\n'
    )
    (spec,) = read_pipeline(str(path)).stages
    counted_stage = count_stage(spec, L4, "fp16", lambda _: None)
    cache, weights = 2 * 12 * 768 * 8 * 1000 * 2, 124_439_808 * 2
    assert counted_stage.cache_bytes == cache
    memory = plan_pipeline("c", [counted_stage]).stages[0].memory.value
    assert weights + cache < memory < weights + 1.2 * cache
