"""Bounds, estimates and required rates, against closed forms."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import pytest
import torch
from projection.counted import counted
from torch import nn

import profiler
from profiler.devices import Device, Source, find_device
from profiler.errors import DeviceError, PlanError, UnknownNameError
from profiler.projection import TimeTable, project
from profiler.projection.device_pass import DevicePass, ProfileWork
from profiler.projection.precision import choose_precision
from profiler.projection.time_table import TimeParts
from profiler.tally.saved import from_json, to_json

#: 1 TFLOP/s in fp32, 8 in int8, 100 GB/s, 1 GiB, 10 W.
TOY = Device(
    id="toy", name="Toy", vendor="none", kind="GPU", year=2026, confidence="high", sources=(Source("made up"),),
    memory_gib=1.0, bandwidth_bytes_per_s=100e9, power_w=10.0,
    peak_ops_per_s={"fp32": 1e12, "fp16": 4e12, "int8": 8e12},
)  # fmt: skip


#: Half of the peak, three quarters of the bandwidth, 5 µs a kernel.
TABLE = TimeTable("GPU", "eager", "inference", 5.0, 0.0, compute={"matmul": 0.5}, memory={"matmul": 0.75})


def device_pass_of(profile, device, precision=None, **options) -> DevicePass:
    return DevicePass.of(ProfileWork(profile), device, choose_precision(profile, device, precision), **options)


def linear(batch: int, width: int) -> profiler.Profile:
    model = nn.Linear(width, width, bias=False, device="meta")
    return profiler.count(model, torch.empty(batch, width, device="meta"))


def test_a_large_product_is_bound_by_compute():
    """4096³ products of two operations at 1 TFLOP/s; 3·4096² numbers of 4 bytes take 2 ms."""
    projection = project(linear(4096, 4096), TOY)
    assert projection.bound_s.value == pytest.approx(2 * 4096**3 / 1e12)
    assert (projection.bound_s.kind, projection.limit.value) == ("bound", "compute")
    assert projection.operators[0].side == "compute"


def test_a_vector_times_a_matrix_is_bound_by_reading_the_matrix():
    """One row: 4096² weights of 4 bytes, and 2·4096 numbers in and out, at 100 GB/s."""
    projection = project(linear(1, 4096), TOY)
    assert projection.bound_s.value == pytest.approx((4096**2 + 2 * 4096) * 4 / 100e9)
    assert projection.limit.value == "bandwidth"


def test_the_ridge_parts_the_two():
    """At 1 TFLOP/s and 100 GB/s it lies at 10 operations a byte."""
    below, above = project(linear(1, 4096), TOY).operators[0], project(linear(4096, 4096), TOY).operators[0]
    assert below.ridge_ops_per_byte == above.ridge_ops_per_byte == pytest.approx(10)
    assert (below.side, above.side) == ("bandwidth", "compute")
    assert below.intensity_ops_per_byte == pytest.approx(0.5, rel=1e-3)


#: A product of 1024³ in fp32 by TABLE: 2·1024³ operations at half of 1 TFLOP/s, 3·1024² numbers at 75 GB/s, 5 µs.
ESTIMATE_S = 2 * 1024**3 / 0.5e12 + 3 * 4 * 1024**2 / 75e9 + 5e-6


def test_the_estimate_is_both_sides_over_their_shares_and_the_kernel():
    assert project(linear(1024, 1024), TOY, model=TABLE).estimate_s.value == pytest.approx(ESTIMATE_S)


def test_rate_headroom_utilisation_and_energy_follow_from_the_estimate():
    projection = project(linear(1024, 1024), TOY, fps=30, model=TABLE)
    assert projection.max_fps.value == pytest.approx(1 / ESTIMATE_S)
    assert projection.headroom.value == pytest.approx(1 / (30 * ESTIMATE_S))
    assert projection.utilisation.value == pytest.approx(2 * 1024**3 / ESTIMATE_S / 1e12)
    assert projection.energy_j.value == pytest.approx(10 * ESTIMATE_S)
    assert projection.fits


def test_the_required_tops_at_the_utilisation_of_the_estimate_are_the_peak_over_the_headroom():
    projection = project(linear(1024, 1024), TOY, fps=30, model=TABLE)
    assert projection.required_tops.value == pytest.approx(1.0 / projection.headroom.value)


def test_required_tops_are_operations_times_rate_over_utilisation():
    """2·1024³ operations × 30/s ÷ 0.3 are 0.2147 TOPS."""
    projection = project(linear(1024, 1024), TOY, fps=30, utilisation=0.3)
    assert projection.required_ops_per_s.value == 2 * 1024**3 * 30
    assert projection.required_tops.value == pytest.approx(0.2147, rel=1e-3)


def test_a_demand_above_capacity_does_not_fit_and_says_so():
    projection = project(linear(1024, 1024), TOY, fps=300, model=TABLE)
    assert not projection.fits
    assert projection.shortfall.startswith(f"300/s is above the {1 / ESTIMATE_S:.4g}/s that toy is estimated to")


def test_where_the_time_goes_sums_to_the_estimate():
    projection = project(counted("resnet18"), find_device("rtx-3090"))
    total = sum(share.seconds for share in projection.time_shares)
    assert projection.estimate_s.value == pytest.approx(total)
    assert "% of the estimate is" in projection.limit.source


def test_the_host_is_the_limit_if_launches_take_longer_than_kernels():
    """One kernel, which is launched in a second."""
    projection = project(linear(1024, 1024), TOY, model=replace(TABLE, launch_us=1e6))
    assert projection.estimate_s.value == pytest.approx(1.0)
    assert projection.limit.value == "launches"


def test_the_row_of_the_own_precision_is_the_estimate_also_of_a_mixed_model():
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 64)).to("meta", torch.bfloat16)
    model[1].float()
    model[1].register_forward_pre_hook(lambda _, args: (args[0].float(),))
    model[2].register_forward_pre_hook(lambda _, args: (args[0].bfloat16(),))
    profile = profiler.count(model, torch.empty(8, 64, device="meta", dtype=torch.bfloat16))
    projection = project(profile, find_device("l4"))
    row = next(row for row in projection.what_if if row.precision == projection.precision.value)
    assert row.estimate_s.value == projection.estimate_s.value
    assert row.bound_s.value == projection.bound_s.value


def test_a_device_by_its_name():
    assert project(linear(8, 8), "l4") == project(linear(8, 8), find_device("l4"))


def test_more_memory_than_there_is_does_not_fit():
    projection = project(linear(1, 20_000), TOY)
    assert projection.memory.value >= 20_000**2 * 4
    assert "of the memory" in projection.shortfall


def test_int8_stores_a_quarter_and_computes_eight_times_as_fast():
    projection = project(linear(4096, 4096), TOY, precision="int8")
    assert projection.bound_s.value == pytest.approx(2 * 4096**3 / 8e12)
    row = next(row for row in projection.what_if if row.precision == "int8")
    assert row.weight_bytes.value == 4096**2


def test_narrow_activations_cost_the_traffic_of_quantising_them():
    """A row of one: the weights are read as int8, the input of 4096 is read as 2 bytes, written and read as 1."""
    profile = linear(1, 4096)
    device_pass = device_pass_of(profile, TOY, "int8", mode="eager")
    (work,) = [w for w in device_pass.works if w.ops]
    assert work.quantise_bytes == 4096 * 3
    assert work.bytes == 4096**2 + 4096 + 4096 * 2


def test_weights_alone_compute_in_sixteen_bits():
    projection = project(linear(4096, 4096), TOY, precision="int8-weights")
    assert "computed in fp16" in projection.precision.source
    assert projection.bound_s.value == pytest.approx(2 * 4096**3 / 4e12)


@pytest.mark.parametrize(
    ("widths", "multiplies", "precision"), [((8, 4), True, "fp16"), ((8, 4), False, "fp32"), ((4, 8), False, "fp16")]
)
def test_the_precision_of_a_model_is_that_of_most_products_or_else_of_most_parameters(widths, multiplies, precision):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Embedding(100, widths[0])
            self.narrow = nn.Embedding(100, widths[1], dtype=torch.float16)

        def forward(self, rows):
            half = self.narrow(rows)
            return self.wide(rows), half @ half.mT if multiplies else half

    profile = profiler.count(Mixed(), torch.zeros(4, 6, dtype=torch.long))
    assert choose_precision(profile, TOY, None).name == precision


def test_a_device_of_integers_alone_is_projected_in_the_precisions_that_it_has():
    device = replace(TOY, peak_ops_per_s={"int8": TOY.peak_ops_per_s["int8"]})
    projection = project(linear(64, 64), device, precision="int8", model=TABLE)
    assert "int8" in [row.precision for row in projection.what_if]
    assert "fp32" not in [row.precision for row in projection.what_if]


def test_a_projection_says_where_its_figures_come_from():
    projection = project(linear(1024, 1024), TOY, model=replace(TABLE, launch_us=1e6))
    assert projection.precision.source == "of most of the model's MACs"
    assert projection.limit.source == "100% of the estimate is the launching of all operators"
    assert not any("not counted" in note for note in projection.notes)
    with profiler.profile() as p:
        torch.linalg.svd(torch.ones(3, 3))
    assert any("some operators are not counted" in note for note in project(p.result, TOY, model=TABLE).notes)


def test_the_times_of_the_entries_add_up_to_the_estimate():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)).to("meta")
    device_pass = device_pass_of(profiler.count(model, torch.empty(8, 64, device="meta")), TOY)
    assert sum(device_pass.entry_seconds) == pytest.approx(device_pass.estimate.seconds)
    assert all(seconds > 0 for seconds in device_pass.entry_seconds)


def test_what_a_device_lacks_is_computed_in_the_next_wider_precision_and_named():
    rows = {row.precision: row.computes_in for row in project(linear(8, 8), TOY).what_if}
    assert rows == {
        "fp32": "fp32", "tf32": "fp32", "bf16": "fp16", "fp16": "fp16", "fp8": "fp16", "int8": "int8", "int4": "int8",
        "fp8-weights": "fp16", "int8-weights": "fp16", "int4-weights": "fp16",
    }  # fmt: skip


def test_a_precision_that_is_asked_for_is_never_substituted():
    with pytest.raises(DeviceError, match="toy has no dense rate for 'fp8'; it has fp32, fp16, int8"):
        project(linear(8, 8), TOY, precision="fp8")


def test_a_model_in_a_precision_that_the_device_lacks_is_an_error():
    model = nn.Linear(8, 8, device="meta", dtype=torch.bfloat16)
    profile = profiler.count(model, torch.empty(1, 8, device="meta", dtype=torch.bfloat16))
    with pytest.raises(DeviceError, match="'bf16'"):
        project(profile, TOY)


@pytest.mark.parametrize("precision", ["int7", "fp32-weights", "", "INT8"])
def test_an_unknown_precision_is_an_error(precision):
    with pytest.raises(UnknownNameError, match="precision"):
        project(linear(8, 8), TOY, precision=precision)


@pytest.mark.parametrize("fps", [0, -1, nan, inf])
def test_a_rate_that_is_none_is_an_error(fps):
    with pytest.raises(PlanError, match="cannot plan with a rate"):
        project(linear(8, 8), TOY, fps=fps)


@pytest.mark.parametrize("share", [0, -0.1, 1.5, nan])
def test_a_utilisation_that_is_none_is_an_error(share):
    with pytest.raises(PlanError, match="cannot plan with a utilisation"):
        project(linear(8, 8), TOY, utilisation=share)


def test_a_model_without_work_is_an_error():
    with pytest.raises(PlanError, match="nothing to project"):
        project(profiler.count(nn.Identity(), torch.empty(0, device="meta")), replace(TOY, bandwidth_bytes_per_s=None))


def test_a_device_of_unknown_bandwidth_is_bound_by_compute_alone():
    projection = project(linear(1, 4096), replace(TOY, bandwidth_bytes_per_s=None))
    assert projection.bound_s.value == pytest.approx(2 * 4096**2 / 1e12)
    assert "not known" in projection.bound_s.source


def test_every_figure_has_its_kind_and_a_source():
    projection = project(counted("resnet18"), find_device("l4"), fps=30, precision="int8")
    assert len(projection.figures) >= 18
    for figure in projection.figures.values():
        assert figure.kind in {"bound", "estimate", "measured"}
        assert figure.source


def test_a_figure_of_low_confidence_is_marked_where_it_is_used():
    device = replace(find_device("jetson-orin-nx"), confidence="low")
    projection = project(counted("resnet18"), device, precision="int8")
    assert "low confidence" in projection.peak_ops_per_s.source
    assert any("low confidence" in note for note in projection.notes)


@pytest.mark.parametrize(
    ("model", "device", "precision", "is_noted"),
    [
        ("resnet18", "l4", None, True),
        ("resnet18", "l4", "tf32", False),
        ("resnet18", "l4", "fp16", False),
        ("resnet18", "v100-sxm2-16gb", None, False),
        ("vit_b_16", "rtx-3090", None, True),
        ("hf:bert-base", "l4", None, False),
    ],
)
def test_convolutions_that_pytorch_runs_in_tf32_are_noted(model, device, precision, is_noted):
    assert torch.backends.cudnn.allow_tf32
    notes = project(counted(model), find_device(device), precision=precision).notes
    assert any("in TF32" in note for note in notes) == is_noted


@pytest.mark.parametrize(
    ("device", "mode", "precision", "tera_ops", "note"),
    [
        ("rtx-3090", "deployed", "fp16", 142.3, "products of fp16 are summed in fp16; the listed rate is 71.2 TOPS"),
        ("rtx-3090", "eager", "fp16", 71.2, None),
        ("rtx-a6000", "deployed", "fp16", 154.8, None),
        ("gtx-1080-ti", "eager", "fp16", 11.34, "products of fp16 are computed in fp32; the listed rate is 0.177 TOPS"),
    ],
)
def test_the_rate_of_products_is_that_of_the_mode(device, mode, precision, tera_ops, note):
    projection = project(counted("resnet18"), find_device(device), precision=precision, mode=mode)
    assert projection.peak_ops_per_s.value == pytest.approx(tera_ops * 1e12)
    assert [one for one in projection.notes if "products of" in one] == ([f"{device}: {note}"] if note else [])


@pytest.mark.parametrize(("device", "is_noted"), [("gtx-1080-ti", True), ("v100-sxm2-16gb", True), ("l4", False)])
def test_convolutions_that_may_multiply_less_are_noted(device, is_noted):
    notes = project(counted("resnet18"), find_device(device), precision="fp32").notes
    assert any("Winograd" in note for note in notes) == is_noted


class Instant:
    """A model of time by which every call takes none."""

    source, launch_s, fixed_s, validation, stands_in = "made up", 0.0, 0.0, None, ""

    def parts(self, work, device):
        return TimeParts(0.0, 0.0, 0.0)

    def of_device(self, device, precision):
        return self


@pytest.mark.parametrize("batch", [1, 4096], ids=["bandwidth", "compute"])
def test_an_estimate_below_the_bound_is_raised_to_it(batch):
    """The bound is 2·B·4096² operations at 1 TFLOP/s, or (4096² + 2·B·4096) numbers of 4 bytes at 100 GB/s."""
    projection = project(linear(batch, 4096), TOY, model=Instant())
    bound_s = max(2 * batch * 4096**2 / 1e12, (4096**2 + 2 * batch * 4096) * 4 / 100e9)
    assert projection.estimate_s.value == pytest.approx(bound_s)
    assert all(row.estimate_s.value == row.bound_s.value > 0 for row in projection.what_if)


@pytest.mark.parametrize("device", ["h100-sxm5-80gb", "l4", "jetson-agx-orin-64gb", "core-i9-10940x", "tpu-v4"])
@pytest.mark.parametrize("model", ["resnet50", "vit_b_16", "mobilenet_v2"])
def test_the_estimate_is_never_below_the_bound(device, model):
    target = find_device(device)
    precision = None if "fp32" in target.peak_ops_per_s else "bf16"
    projection = project(counted(model), target, precision=precision)
    assert projection.estimate_s.value >= projection.bound_s.value
    assert all(row.estimate_s.value >= row.bound_s.value for row in projection.what_if)


def test_a_look_up_does_not_read_the_whole_table():
    """Llama 3.1 8B in 16 bits: a step reads 15.01 GB, all but the input embedding (torchao's figure)."""
    profile = counted("hf:llama-3.1-8b", "input_ids=1x1")
    device_pass = device_pass_of(profile, find_device("rtx-a6000"), "bf16")
    assert device_pass.compulsory_bytes == pytest.approx(15.01e9, rel=1e-3)


def test_a_table_that_is_also_the_last_layer_is_read_whole():
    """GPT-2 ties its embedding to its output: 124.4 M parameters, of which only the positions are picked from."""
    profile = counted("hf:gpt2", "input_ids=1x1")
    device_pass = device_pass_of(profile, TOY, "fp32")
    positions = 1024 * 768
    assert device_pass.compulsory_bytes == pytest.approx((124_439_808 - positions) * 4, rel=2e-3)


def test_a_projection_is_saved_and_comes_back():
    profile = replace(counted("resnet18"), projection=project(counted("resnet18"), find_device("l4"), fps=30))
    text = to_json(profile)
    assert from_json(text) == profile
    projection = json.loads(text)["projection"]
    for name in ("device", "precision", "required_ops_per_s", "required_tops", "utilisation", "headroom", "max_fps",
                 "limit", "bound_s", "estimate_s", "memory"):  # fmt: skip
        assert set(projection[name]) == {"value", "kind", "source"}


def test_a_sum_of_profiles_has_no_projection():
    profile = replace(counted("resnet18"), projection=project(counted("resnet18"), find_device("l4")))
    assert (profile + profile).projection is None


def test_a_projection_of_an_older_version_is_loaded_without_its_retired_figures():
    profile = replace(counted("resnet18"), projection=project(counted("resnet18"), find_device("l4")))
    document = json.loads(to_json(profile))
    document["projection"]["smallest_device"] = {"value": "hailo-10h", "kind": "estimate", "source": "least memory"}
    assert from_json(json.dumps(document)) == profile
