"""The range of an estimate, its caveats, and the answer that a report gives: against figures computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from projection.test_project import TABLE, TOY
from torch import nn

import profiler
from profiler.devices import Device, find_device
from profiler.projection import project
from profiler.projection.ideal_times import Ideal
from profiler.projection.time_table_files import device_kind, time_table
from profiler.projection.validation import Validation
from profiler.report.projection_tables import answer
from profiler.values.projection import Projection

N = 1024
VALIDATION = Validation(
    source="a test", date="2026-01-01", ranges={TOY.id: (0.8, 1.5)}, range_elsewhere=(0.5, 3.0), precisions=("fp32",),
    passes=20, mean_error=0.1, median_error=0.1, fastest_ms=0.1, slowest_ms=10.0,
)  # fmt: skip
#: 2·N³ operations at 1 TFLOP/s, of which the table reaches half, and the rest of a pass.
MODEL = replace(TABLE, validation=VALIDATION)


def projected(device=TOY, model=MODEL, **options):
    layer = nn.Linear(N, N, bias=False, device="meta")
    profile = profiler.count(layer, torch.empty(N, N, device="meta"))
    return project(profile, device, model=model, mode="eager", **options)


def times(projection):
    low, high = projection.estimate_low_s, projection.estimate_high_s
    return tuple(None if figure is None else float(figure.value) for figure in (low, projection.estimate_s, high))


def test_the_range_is_that_of_the_device():
    low, estimate, high = times(projected())
    assert (low, high) == (pytest.approx(max(0.8 * estimate, float(projected().bound_s.value))), 1.5 * estimate)


def test_an_unseen_device_and_an_unseen_precision_have_the_range_of_others():
    for projection in (projected(replace(TOY, id="other")), projected(precision="fp16")):
        _, estimate, high = times(projection)
        assert high == pytest.approx(3.0 * estimate)


def test_no_range_without_a_validation():
    projection = projected(model=TABLE)
    assert times(projection)[0] is None
    assert times(projection)[2] is None
    assert "no range: not validated" in answer(projection)


def test_an_unknown_bandwidth_opens_the_range_upwards():
    projection = projected(replace(TOY, id="other", bandwidth_bytes_per_s=None), fps=1)
    low, _, high = times(projection)
    assert low is not None
    assert high is None
    assert answer(projection).startswith("1 passes/s: perhaps.")
    assert "or more: the bandwidth is not known" in answer(projection)


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "no"), (0.9, "perhaps"), (1.2, "perhaps"), (1.6, "yes")])
def test_the_answer_follows_from_the_range(factor, verdict):
    """The period is a factor of the estimate, whose range is 0.8 to 1.5 of it."""
    fps = 1 / (factor * times(projected())[1])
    assert answer(projected(fps=fps)).partition(": ")[2].startswith(f"{verdict}.")


def test_the_range_of_a_device_that_was_measured_is_closed_without_a_bandwidth():
    dry = replace(TOY, bandwidth_bytes_per_s=None)
    assert dry.id in VALIDATION.ranges
    _, estimate, high = times(projected(dry))
    assert high == pytest.approx(1.5 * estimate)
    assert not any("bandwidth" in note for note in projected(dry).notes)


def test_a_pass_that_waits_for_the_host_has_the_range_of_hosts():
    """A launch takes a second, and the kernel next to nothing."""
    slow = replace(MODEL, launch_us=1e6, validation=replace(VALIDATION, launch_range=(0.6, 2.5)))
    assert times(projected(model=slow)) == pytest.approx((0.6, 1.0, 2.5), rel=1e-6)


def test_the_host_of_a_chip_has_a_factor_of_its_own():
    slow = replace(MODEL, launch_us=1e6, kernel_factors={TOY.kind: 3.0})
    assert times(projected(model=slow))[1] == pytest.approx(3.0)
    assert times(projected(model=replace(slow, kernel_factors=slow.kernel_factors | {TOY.id: 5.0})))[
        1
    ] == pytest.approx(5.0)


@pytest.mark.parametrize(("precision", "factor"), [("fp16", 2.0), ("fp32", 1.0)])
def test_the_factors_of_a_device_are_of_its_work_and_of_its_kernels(precision, factor):
    """Devices reach as much of their vector units as others."""
    table = replace(
        MODEL, launch_us=0.0, pass_us=7.0, kernel_us=5.0, factors={TOY.id: 2.0}, kernel_factors={TOY.kind: 3}
    )
    ideals = {"conv": Ideal(1e-3, 2e-3, 9)}
    constant_s, kernels_s = 7e-6, 9 * 5e-6
    work_s = table.pass_seconds(ideals) - constant_s - kernels_s
    seconds = table.of_device(TOY, precision).pass_seconds(ideals)
    assert seconds == pytest.approx(factor * (work_s + constant_s) + 3 * kernels_s)


def test_a_constant_of_the_pass_is_in_the_estimate_and_accounted_for():
    without, with_constant = projected(), projected(model=replace(MODEL, pass_us=500.0))
    assert times(with_constant)[1] == pytest.approx(times(without)[1] + 500e-6)
    assert sum(share.seconds for share in with_constant.time_shares) == pytest.approx(times(with_constant)[1])


def test_decoding_has_no_factor_of_the_device():
    """The bandwidth that decoding reaches was published for several devices; images tell nothing of it."""
    layer, slower = nn.Linear(N, N, bias=False, device="meta"), replace(MODEL, factors={TOY.id: 2.0})
    estimates: dict[int, list[float]] = {}
    for rows in (1, N):
        profile = profiler.count(layer, torch.empty(rows, N, device="meta"))
        both = [project(profile, TOY, model=model, mode="eager", precision="fp16") for model in (MODEL, slower)]
        estimates[rows] = [times(projection)[1] for projection in both]
    assert estimates[1][0] == estimates[1][1]
    assert estimates[N][1] > 1.9 * estimates[N][0]


def test_a_time_far_from_those_that_were_measured_is_a_caveat():
    far = replace(MODEL, validation=replace(VALIDATION, fastest_ms=1000.0, slowest_ms=2000.0))
    assert any("far from the passes" in note for note in projected(model=far).notes)
    assert not any("far from the passes" in note for note in projected().notes)


def test_channels_last_has_a_table_of_its_own_and_stands_for_itself_alone():
    eager, last = (time_table(find_device("rtx-3090"), mode, "inference") for mode in ("eager", "channels_last"))
    assert last.stands_in == ""
    assert last.memory["conv"] > eager.memory["conv"], "no conversion of the layout around each convolution"
    assert "channels_last" in time_table(find_device("rtx-3090"), "channels_last", "training").stands_in


def test_where_kernels_and_launches_take_as_long_both_are_seen():
    """A launch takes as long as its kernel: 2^¼ of either, all of which is accounted for."""
    device_s = times(projected(model=replace(MODEL, launch_us=0.0)))[1]
    both = projected(model=replace(MODEL, launch_us=1e6 * device_s))
    assert times(both)[1] == pytest.approx(2**0.25 * device_s)
    assert sum(share.seconds for share in both.time_shares) == pytest.approx(2**0.25 * device_s)


def reached(device: Device, precision: str) -> float:
    """Return the share of the peak that a product of 8192³ reaches, its memory traffic aside."""
    layer = nn.Linear(8192, 8192, bias=False, device="meta")
    profile = profiler.count(layer, torch.empty(8192, 8192, device="meta"))
    times = project(profile, device, mode="eager", precision=precision).time_shares
    (compute_s,) = (share.seconds for share in times if share.resource == "compute")
    return 2 * 8192**3 / device.peak(precision) / compute_s


@pytest.mark.parametrize(
    ("device", "precision", "tflops"),
    [("h100-sxm5-80gb", "fp8", 1402.6), ("mi300x", "bf16", 668.4), ("l40s", "fp16", 297)],
)
def test_no_product_is_faster_than_the_fastest_that_was_measured(device, precision, tflops):
    found = find_device(device)
    assert reached(found, precision) * found.peak(precision) <= 1.001e12 * tflops


def test_where_no_product_was_measured_a_share_of_the_peak_stays_plausible():
    device = find_device("rtx-5090")
    faster = replace(time_table(device, "deployed", "inference"), factors={device.id: 0.1})
    assert max(faster.of_device(device, "int8").compute.values()) == 1.15
    assert max(faster.of_device(device, "int8").memory.values()) > 2


def test_a_share_that_was_measured_on_the_device_itself_is_plausible():
    """A table that was calibrated on an H100 whose products reach 0.9 of the peak."""
    device = find_device("h100-sxm5-80gb")
    own = replace(MODEL, compute={"matmul": 0.9}, validation=replace(VALIDATION, ranges={device.id: (0.9, 1.1)}))
    assert own.of_device(device, "bf16").compute["matmul"] == 0.9
    assert replace(own, validation=VALIDATION).of_device(device, "bf16").compute["matmul"] == device.reach("bf16")


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


#: TFLOP/s of fused attention, forward and backward, by published benchmarks: 16,384 tokens in all, heads of 2,048
#: features in all, no mask. Sources: gpu-mode/ring-attention, issue 10; Dao-AILab/flash-attention, pull request 1791,
#: where FlashAttention-2 runs forward at 369.9 and backward at 290.6 TFLOP/s.
ATTENTION = [
    ("rtx-a5000", 64, 512, 59.15),
    ("rtx-a5000", 64, 1024, 66.90),
    ("rtx-a5000", 64, 2048, 72.95),
    ("rtx-a5000", 64, 4096, 76.64),
    ("rtx-a5000", 64, 8192, 78.64),
    ("h100-sxm5-80gb", 128, 8192, 309.6),
]


def attention_step(device: str, features: int, tokens: int) -> Projection:
    """Project a training step of attention alone, by a table whose host takes no time."""
    x = torch.empty(
        16384 // tokens, 2048 // features, tokens, features, dtype=torch.float16, device="meta", requires_grad=True
    )
    found = find_device(device)
    table = replace(time_table(found, "eager", "training"), launch_us=0.0)
    return project(profiler.count_step(Attention(), x), found, mode="eager", model=table)


def attention_seconds(projection: Projection) -> float:
    return sum(share.seconds for share in projection.time_shares if share.class_ == "attention")


@pytest.mark.parametrize(("device", "features", "tokens", "tflops"), ATTENTION)
def test_attention_in_training_takes_what_published_kernels_take(device, features, tokens, tflops):
    seconds = attention_seconds(attention_step(device, features, tokens))
    operations = (4 + 10) * 16384 * tokens * 2048
    low, high = time_table(find_device(device), "eager", "training").validation.unmeasured["attention"]
    assert low < operations / (1e12 * tflops) / seconds < high


def test_attention_over_few_tokens_is_slower_as_published():
    """On an RTX A5000, 512 tokens take 1.33 times as long for the same operations as 8,192."""
    times = {tokens: attention_seconds(attention_step("rtx-a5000", 64, tokens)) for tokens in (512, 8192)}
    assert times[512] * (8192 / 512) / times[8192] == pytest.approx(78.64 / 59.15, rel=0.1)


def test_a_class_that_no_measured_pass_had_has_the_range_of_published_kernels():
    projection = attention_step("rtx-3090", 64, 8192)
    attention_s, (low, estimate, high) = attention_seconds(projection), times(projection)
    validation = time_table(find_device("rtx-3090"), "eager", "training").validation
    of_attention, of_device = validation.unmeasured["attention"], validation.ranges["rtx-3090"]
    assert attention_s > 0.9 * estimate
    assert low == pytest.approx(of_attention[0] * attention_s + of_device[0] * (estimate - attention_s))
    assert high == pytest.approx(of_attention[1] * attention_s + of_device[1] * (estimate - attention_s))
    assert any("is attention, which no measured pass had" in note for note in projection.notes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("edge SoC", "GPU"), ("consumer GPU", "GPU"), ("wafer-scale NPU", "NPU"), ("TPU", "NPU"), ("server CPU", "CPU")],
)
def test_a_device_is_timed_as_what_its_rates_are_of(kind, expected):
    assert device_kind(replace(find_device("rk3588"), kind=kind)) == expected


@pytest.mark.parametrize(
    ("name", "mode", "step", "why"),
    [
        ("l4", "eager", "training", ""),
        (
            "l4",
            "compiled",
            "training",
            "training compiled on a GPU: the estimate uses those of training eager on a GPU",
        ),
        (
            "rk3588",
            "eager",
            "inference",
            "inference eager on a NPU: the estimate uses those of inference eager on a GPU",
        ),
    ],
)
def test_a_table_that_stands_in_says_for_what(name, mode, step, why):
    assert time_table(find_device(name), mode, step).stands_in == (why and f"no measurements of {why}")
