"""Published times against the bounds and the estimates: the files of ``docs/measured``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from profiler.devices import find_device
from profiler.projection.fit import Sample
from profiler.projection.time_table_files import time_table
from profiler.run.measured_passes import MeasuredPass, read_measured_passes

FOLDER = Path(__file__).parents[2] / "docs" / "measured"
FILES = sorted(path.name for path in FOLDER.glob("*.csv"))
#: Models of ``qualcomm-ai-hub.csv`` that no table was fitted to.
KEPT_BACK = ("resnet18", "resnet50", "wide_resnet50_2")


#: Multiplications of a 3×3 convolution ÷ those of Winograd's algorithm, by which cuDNN computes them in float32.
WINOGRAD = 36 / 16


def is_in_float32(one: MeasuredPass) -> bool:
    """Return whether convolutions are computed in float32, or in float16 that is as slow as on a GTX 1080 Ti."""
    device = find_device(one.device)
    return device.contraction_rate(one.compute_precision) == device.peak_ops_per_s.get("fp32")


@cache
def passes(name: str) -> list[MeasuredPass]:
    """Return the passes whose device has a rate in their precision, and whose model needs no other package."""
    rows = read_measured_passes(FOLDER / name, step="inference")
    here = [one for one in rows if not one.target.startswith("benchmarks/")]
    return [one for one in here if one.compute_precision in find_device(one.device).peak_ops_per_s]


@cache
def sample(one: MeasuredPass) -> Sample:
    return one.sample(find_device(one.device), one.mode)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_of_known_devices_and_has_no_row_twice(name):
    rows = read_measured_passes(FOLDER / name, step="inference")
    keys = [(one.target, one.input, one.batch, one.precision, one.mode, one.step, one.device) for one in rows]
    assert all(one.device and one.mode for one in rows)
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize("target", KEPT_BACK)
def test_an_npu_is_estimated_from_the_times_of_other_models(target):
    rows = [one for one in passes("qualcomm-ai-hub.csv") if one.target == target and one.precision == "int8"]
    errors = []
    for one in rows:
        device = find_device(one.device)
        table = time_table(device, "deployed", "inference").of_device(device, "int8")
        estimate_s = table.pass_seconds(sample(one).ideals)
        low, high = table.validation.ranges[device.id]
        assert low * estimate_s < one.seconds < high * estimate_s
        errors.append(abs(estimate_s / one.seconds - 1))
    assert len(errors) == 5
    assert fmean(errors) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_no_bound_is_beaten(name):
    beaten = [
        (one.target, one.batch, one.device, sample(one).bound_s / one.seconds)
        for one in passes(name)
        if sample(one).bound_s > one.seconds * (WINOGRAD if is_in_float32(one) else 1)
    ]
    assert beaten == []
