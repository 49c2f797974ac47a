"""``calibrate`` and ``rank``: from a command line to text, files and an exit status."""

from __future__ import annotations

import csv
import io
import json

import pytest
from cli.command import run

from profiler.devices import find_device
from profiler.projection.time_table_files import time_table
from profiler.run.measured_passes import MeasuredPass, read_measured_passes

MODELS = ("alexnet", "resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5")
#: Large enough that no pass waits for the host.
BATCH = 256


@pytest.fixture(scope="module")
def times() -> dict[str, float]:
    """Milliseconds of each model on a device three times slower than the package's table says."""
    device = find_device("rtx-3090")
    table = time_table(device, "eager", "inference").of_device(device, "fp16")
    samples = [MeasuredPass(name, None, BATCH, "amp", 1.0).sample(device, "eager") for name in MODELS]
    return {name: 3e3 * table.pass_seconds(sample.ideals) for name, sample in zip(MODELS, samples, strict=True)}


def written(path, times, factor=1.0):
    rows = [f"{name},{BATCH},amp,{ms * factor}" for name, ms in times.items()]
    path.write_text("\n".join(["target,batch,precision,ms", *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_a_calibrated_table_estimates_what_was_measured(capsys, tmp_path, times):
    table = tmp_path / "table.json"
    words = ("calibrate", written(tmp_path / "m.csv", times), "--on", "rtx-3090", "-o", str(table))
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    assert "error of the package's own table  mean 66" in out
    assert "not measured, as in the package: attention" in out
    on = ("resnet18", "--batch", str(BATCH), "--autocast", "float16", "--on", "rtx-3090", "-f", "json")
    _, out, _ = run(capsys, *on, "--efficiency", str(table), "--quiet")
    estimate_ms = 1e3 * json.loads(out)["projection"]["estimate_s"]["value"]
    assert estimate_ms == pytest.approx(times["resnet18"], rel=0.05)


def test_times_in_another_unit_beat_the_bound_and_are_named(capsys, tmp_path, times):
    status, _, err = run(capsys, "calibrate", written(tmp_path / "m.csv", times, factor=1e-3), "--on", "rtx-3090")
    assert status == 0
    assert "times below the bound; is it in ms" in err
    assert "e+" not in err


def test_what_was_fitted_to_times_in_another_unit_can_be_read(capsys, tmp_path, times):
    table = tmp_path / "table.json"
    csv_file = written(tmp_path / "m.csv", times, factor=1e-3)
    assert run(capsys, "calibrate", csv_file, "--on", "rtx-3090", "--output", str(table))[0] == 0
    status, out, _ = run(capsys, "alexnet", "--on", "rtx-3090", "--efficiency", str(table), "--quiet", "-f", "json")
    figures = json.loads(out)["projection"]
    assert status == 0
    assert figures["estimate_s"]["value"] >= figures["bound_s"]["value"]
    assert max(json.loads(table.read_text())["compute"].values()) < 20, "no device is 20 times as fast as its peak"


def test_times_in_int8_on_an_npu_are_of_a_deployed_model(capsys, tmp_path):
    device = find_device("rk3588")
    table = time_table(device, "deployed", "inference").of_device(device, "int8")
    samples = [MeasuredPass(name, None, 1, "int8", 1.0).sample(device, "deployed") for name in MODELS]
    times = [2e3 * table.pass_seconds(sample.ideals) for sample in samples]
    rows = [f"{name},int8,{ms}" for name, ms in zip(MODELS, times, strict=True)]
    measured, fitted = tmp_path / "m.csv", tmp_path / "table.json"
    measured.write_text("\n".join(["target,precision,ms", *rows]) + "\n", encoding="utf-8")
    status, out, err = run(capsys, "calibrate", str(measured), "--on", "rk3588", "-o", str(fitted))
    assert (status, err) == (0, "")
    assert out.startswith("rk3588, deployed, inference: 5 passes")
    assert json.loads(fitted.read_text())["validation"]["precisions"] == ["int8"]
    words = ("resnet18", "--on", "rk3588", "--precision", "int8", "-f", "json", "--quiet", "--efficiency", str(fitted))
    estimate_s = json.loads(run(capsys, *words)[1])["projection"]["estimate_s"]["value"]
    assert 1e3 * estimate_s == pytest.approx(times[MODELS.index("resnet18")], rel=0.05)


def test_rows_without_a_step_are_of_the_step_that_is_asked_for(tmp_path):
    measured = tmp_path / "m.csv"
    rows = [f"{name},16,amp,100" for name in MODELS]
    measured.write_text("\n".join(["target,batch,precision,ms", *rows]) + "\n", encoding="utf-8")
    passes = read_measured_passes(measured, step="training")
    assert {one.step for one in passes} == {"training"}
    steps = passes[1].count().entries
    assert any(entry.record.phase == "backward" for entry in steps)


def test_rows_of_another_device_are_left_out(capsys, tmp_path, times):
    measured = tmp_path / "m.csv"
    rows = [f"{name},{BATCH},amp,{ms},rtx-3090" for name, ms in times.items()]
    others = [f"{name},16,amp,{100 * ms},l4" for name, ms in times.items()]
    measured.write_text("\n".join(["target,batch,precision,ms,device", *rows, *others]) + "\n", encoding="utf-8")
    status, out, err = run(capsys, "calibrate", str(measured), "--on", "rtx-3090")
    assert status == 0
    assert "5 of 10 rows are of another device, mode or step, and left out" in err
    assert out.startswith("rtx-3090, eager, inference: 5 passes")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("target,ms,mode\nresnet18,1,eagr\n", "line 2: there is no mode 'eagr'; write eager, channels_last"),
        ("target,ms,step\nresnet18,1,train\n", "line 2: there is no step 'train'; write inference, training"),
        ("target,ms,device\nresnet18,1,h1000\n", "line 2: no device named 'h1000'"),
        ("target,batch\nresnet18,1\n", "has no column ms"),
        ("a,b\n1,2\n", "no column target and no column ms"),
        ("", "no column target"),
        ("target,ms\nresnet18,fast\n", "line 2: ms is 'fast'"),
        ("target,ms\nresnet18,-1\n", "write a positive number"),
        ("target,ms,precision\nresnet18,1,int7\n", "there is no precision 'int7'"),
        ("target,ms\nresnet18,1\nalexnet,1\nvgg11,2\n", "too few to fit to"),
        ("target,ms,batch\nresnet18,1,2.5\n", "batch is '2.5'; write a whole number"),
        ("target,m\rs\nresnet18,1\n", "line 1: new-line character"),
        ("target,ms\nresnet18,1\nalexnet,9\r0\n", "line 3: new-line character"),
        ("target,ms\nresnet99,1\n", "0 measurements could be used"),
        ("target,ms\nresnet99,1\n", "measure at least 4; resnet99 is left out: "),
    ],
)
def test_a_bad_file_is_refused_in_one_line(capsys, tmp_path, text, part):
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    status, out, err = run(capsys, "calibrate", str(path), "--on", "l4", "--quiet")
    assert (status, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1


def test_a_ranking_is_of_single_devices_each_in_the_mode_of_its_kind(capsys):
    status, out, _ = run(capsys, "rank", "alexnet", "--precision", "fp16", "--quiet", "--format", "json")
    assert status == 0
    modes = {row["device"]: row["mode"] for row in json.loads(out)["devices"]}
    assert "dgx-h100" not in modes
    assert {modes[name] for name in ("apple-m4-max", "radeon-8060s", "jetson-nano", "h100-sxm5-80gb")} == {"eager"}
    named = run(capsys, "rank", "alexnet", "--precision", "fp16", "--on", "dgx-h100", "--quiet", "--format", "json")[1]
    assert [(row["device"], row["mode"]) for row in json.loads(named)["devices"]] == [("dgx-h100", "eager")]


RANK = ("rank", "mobilenet_v3_large", "--fps", "30", "--precision", "int8", "--class", "edge", "--quiet")


def test_a_named_device_without_the_precision_is_named_too(capsys):
    """Both of --on are in the answer: the RK3588 has int8 rates alone."""
    status, out, _ = run(capsys, "alexnet", "--on", "jetson-orin-nano,rk3588", "--quiet")
    assert status == 0
    assert "alexnet: 1 device, the fastest first." in out
    assert "without the precision, so no estimate: rk3588\n" in out


def test_the_devices_are_sorted_and_the_thriftiest_is_marked(capsys):
    status, out, _ = run(capsys, *RANK, "--format", "json")
    document = json.loads(out)
    rows = document["devices"]
    assert status == 0
    assert len(rows) > 5
    assert [row["passes_per_s"] for row in rows] == sorted((row["passes_per_s"] for row in rows), reverse=True)
    holding = [row for row in rows if row["holds"] and row["power_w"]]
    assert document["least_power"] in {row["device"] for row in holding}
    assert min(row["power_w"] for row in holding) == next(
        row["power_w"] for row in rows if row["device"] == document["least_power"]
    )
    assert "coral-edge-tpu" in document["without_bandwidth"]
    assert "hailo-8" in {row["device"] for row in rows}, "its own times were measured"


def test_the_estimate_is_that_of_on(capsys):
    _, out, _ = run(capsys, *RANK[:6], "--quiet", "--format", "json", "--on", "l4, t4")
    ranked = {row["device"]: row["estimate_s"] for row in json.loads(out)["devices"]}
    _, out, _ = run(capsys, "mobilenet_v3_large", "--on", "l4", "--precision", "int8", "-f", "json", "--quiet")
    assert ranked["l4"] == json.loads(out)["projection"]["estimate_s"]["value"]


def test_csv_and_markdown_have_a_row_a_device(capsys):
    rows = list(csv.DictReader(io.StringIO(run(capsys, *RANK, "--format", "csv")[1])))
    markdown = run(capsys, *RANK, "--format", "markdown")[1]
    assert len(rows) == sum(line.startswith("| ") for line in markdown.splitlines()) - 2
    assert float(rows[0]["estimate_s"]) > 0


def test_prices_name_the_cheapest(capsys, tmp_path):
    prices = tmp_path / "prices.csv"
    prices.write_text("device,price\njetson-agx-orin-64gb,2000\njetson-orin-nano-8gb,250\n", encoding="utf-8")
    _, out, _ = run(capsys, *RANK, "--prices", str(prices))
    assert "Lowest price: jetson-orin-nano-8gb, 250." in out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--max-watts", "0.1"), "no device is left"),
        (("--on", "l4,nonsense"), "no device named 'nonsense'"),
        (("--precision", "int7"), "int7"),
        (("--fps", "0"), "rate"),
        (("--prices", "none.csv"), "cannot read none.csv"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(capsys, words, part):
    status, out, err = run(capsys, "rank", "squeezenet1_1", "--quiet", *words)
    assert (status, out) == (2, "")
    assert part in err
    assert len(err.splitlines()) == 1


def test_a_rate_that_no_device_holds_fails_when_strict(capsys):
    status, _, err = run(capsys, "rank", "squeezenet1_1", "--on", "l4", "--fps", "1e6", "--strict", "--quiet")
    assert status == 1
    assert "no device holds the rate" in err
