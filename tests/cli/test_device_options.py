"""``--on`` and related options, ``devices`` and ``plan``: from a command line to text, JSON and an exit status."""

from __future__ import annotations

import json

import pytest
from cli.command import run

from profiler.devices import all_devices

VIT = ("vit_b_16", "--on", "jetson-orin-nx", "--fps", "30", "--precision", "int8", "--utilisation", "0.3")


def test_vit_on_a_jetson_as_json(capsys):
    """35.23 G operations × 30/s ÷ 0.3 are 3.523 TOPS."""
    status, out, _ = run(capsys, *VIT, "--format", "json")
    projection = json.loads(out)["projection"]
    assert status == 0
    assert projection["device"]["value"] == "jetson-orin-nx-16gb"
    assert projection["required_ops_per_s"]["value"] == 35_227_573_701 * 30
    assert projection["required_tops"]["value"] == pytest.approx(3.523, abs=0.001)
    assert projection["headroom"]["value"] == pytest.approx(projection["max_fps"]["value"] / 30)
    assert all(figure["source"] for figure in projection.values() if isinstance(figure, dict))


def test_vit_on_a_jetson_as_text(capsys):
    status, out, _ = run(capsys, *VIT, "--depth", "0")
    assert status == 0
    assert "on jetson-orin-nx-16gb in int8, deployed at 30 passes per second" in out
    assert "30 passes/s: yes." in out
    for word in ("required TOPS", "3.523", "headroom", "limit", "bound", "estimate", "data sheets", "torch2trt"):
        assert word in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_projection_is_in_markdown_too(capsys):
    _, out, _ = run(capsys, "squeezenet1_1", "--on", "l4", "--format", "markdown")
    assert "## on l4 in fp32" in out
    assert "| int8-weights" in out


def test_a_demand_above_capacity_is_seen_and_fails_when_strict(capsys):
    words = ("resnet18", "--on", "l4", "--fps", "1e6")
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "does not fit: 1e+06/s is above" in out
    status, out, err = run(capsys, *words, "--strict")
    assert status == 1
    assert "does not fit" in out
    assert err.startswith("error: --strict: 1e+06/s is above")


def test_strict_is_silent_where_it_fits(capsys):
    assert run(capsys, "resnet18", "--on", "l4", "--fps", "1", "--strict", "--quiet")[::2] == (0, "")


def test_the_largest_batch_is_found_on_meta(capsys):
    _, out, _ = run(capsys, "squeezenet1_1", "--on", "jetson-nano", "--largest-batch", "--format", "json")
    projection = json.loads(out)["projection"]
    assert projection["largest_batch"]["value"] > 50
    assert projection["largest_batch"]["kind"] == "estimate"


BAD = [
    (("resnet18", "--on", "h100"), "matches more than one device: h100-sxm5-80gb"),
    (("resnet18", "--on", "l5"), "no device named 'l5'"),
    (("resnet18", "--on", "l4", "--precision", "fp64"), "l4 has no dense rate for 'fp64'; it has fp32"),
    (("resnet18", "--on", "l4", "--precision", "int3"), "no precision named 'int3'"),
    (("resnet18", "--on", "l4", "--fps", "0"), "rate of 0"),
    (("resnet18", "--on", "l4", "--fps", "-30"), "rate of -30"),
    (("resnet18", "--on", "l4", "--fps", "many"), "many"),
    (("resnet18", "--on", "l4", "--utilisation", "2"), "utilisation of 2"),
    (("resnet18", "--on", "none.toml"), "cannot read none.toml"),
    (("resnet18", "--on", "l4", "--measure"), "--on names 'l4'"),
    (("resnet18", "--on", "local:moon"), "local:moon"),
    (("resnet18", "--fps", "30"), "name it with --on"),
    (("resnet18", "--on", "l4", "--tokens", "1e9"), "add --train"),
    (("resnet18", "--on", "l4", "--train", "--tokens", "-1"), "tokens of -1"),
    (("resnet18", "--on", "l4", "--train", "--tokens", "1", "--devices", "0"), "devices of 0"),
    (("resnet18", "--train", "--measure"), "not a training step"),
    (("devices", "h9000"), "no device named 'h9000'"),
    (("plan", "none.toml"), "cannot read none.toml"),
    (("plan", "vision"), "no pipeline named 'vision'"),
    (("plan", "vision-language"), "names no device"),
    (("plan", "bad.toml", "--on", "l4"), "stage 'a': no torchvision model named 'resnet19'"),
    (("plan", "raises.toml", "--on", "l4"), "stage 'a': ResNet raised"),
    (("plan", "mute.toml", "--on", "l4"), "stage 'a': "),
]


@pytest.mark.parametrize(("words", "part"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_and_status_two(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    stage = 'name = "p"\n[[stages]]\nname = "a"\n'
    (tmp_path / "bad.toml").write_text(stage + 'target = "resnet19"\nper_s = 1\n')
    (tmp_path / "raises.toml").write_text(stage + 'target = "resnet18"\ninput = ["7x8x8"]\nper_s = 1\n')
    (tmp_path / "mute.toml").write_text(stage + 'target = "resnet18"\nprompt = 8\ntokens_per_s = 1\n')
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert part in err


def test_devices_as_json(capsys):
    status, out, _ = run(capsys, "devices", "--format", "json")
    rows = {row["id"]: row for row in json.loads(out)["devices"]}
    assert status == 0
    assert len(rows) == len(all_devices())
    assert rows["l4"]["peak_ops_per_s"]["int8"] == 242e12
    assert rows["l4"]["bandwidth_bytes_per_s"] == 300e9
    assert all(row["source"] for row in rows.values())


@pytest.mark.parametrize(
    ("words", "part"),
    [(("nvidia",), "l40s"), (("h100", "pcie"), "source: "), (("npu",), "hailo-8l"), (("l4",), "ridge")],
)
def test_devices_by_words(capsys, words, part):
    status, out, _ = run(capsys, "devices", *words)
    assert status == 0
    assert part in out


GPT2 = (
    "hf:gpt2",
    "--input",
    "input_ids=2x64",
    "--train",
    "--on",
    "a100-sxm4-80gb",
    "--tokens",
    "300e9",
    "--utilisation",
    "0.4",
)


def test_a_training_run_is_planned_from_the_counted_step(capsys):
    """Days are the step's FLOPs a token × tokens over 64 devices at 0.4 of 19.5 TFLOP/s in fp32."""
    _, out, _ = run(capsys, *GPT2, "--devices", "64", "--deadline", "3", "--format", "json")
    figures = json.loads(out)["projection"]["training"]
    flops = figures["model_flops"]["value"] / 128 * 300e9
    assert figures["tokens_per_step"]["value"] == 128
    assert figures["six_n_t"]["value"] == 6 * 124_439_808 * 128
    assert figures["model_flops"]["value"] == pytest.approx(figures["six_n_t"]["value"], rel=0.05)
    assert figures["days"]["value"] == pytest.approx(flops / (64 * 19.5e12 * 0.4 * 86_400))
    assert figures["devices_for_deadline"]["value"] == -(-flops // (19.5e12 * 0.4 * 86_400 * 3))
    assert figures["pf_days"]["value"] == pytest.approx(flops / 8.64e19)


PIPELINE = """
name = "two"
[[stages]]
name = "see"
target = "squeezenet1_1"
per_s = 30
precision = "int8"
[[stages]]
name = "say"
target = "hf:gpt2"
prompt = 16
tokens_per_s = 20
"""


def test_a_pipeline_reads_its_prompt_and_makes_tokens(capsys, tmp_path):
    """GPT-2 keeps 2·12·768 numbers of each of 16 tokens; in fp16 its step reads 124 M parameters of 2 bytes."""
    (tmp_path / "p.toml").write_text(PIPELINE)
    status, out, _ = run(
        capsys, "plan", str(tmp_path / "p.toml"), "--on", "l4", "--precision", "fp16", "--format", "json"
    )
    planned = json.loads(out)["plan"]
    see, say = planned["stages"]
    assert status == 0
    assert (see["precision"], say["precision"]) == ("int8", "fp16")
    assert say["first_s"]["value"] > 0
    assert see["first_s"] is None
    assert say["bound_s"]["value"] == pytest.approx((123.7e6 * 2 + 2 * 12 * 768 * 16 * 2) / 300e9, rel=0.01)
    assert say["tokens_per_s_bound"]["value"] == pytest.approx(1 / say["bound_s"]["value"], rel=1e-3)
    assert say["critical_batch"]["value"] > 100
    assert see["tokens_per_s_bound"] is None
    assert planned["fits"]


def test_a_pipeline_that_does_not_fit_fails_when_strict(capsys, tmp_path):
    (tmp_path / "p.toml").write_text(PIPELINE.replace("tokens_per_s = 20", "tokens_per_s = 20000"))
    words = ("plan", str(tmp_path / "p.toml"), "--on", "l4", "--precision", "fp16")
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "It does not fit" in out
    status, _, err = run(capsys, *words, "--strict")
    assert status == 1
    assert err.startswith("error: --strict: l4 does not have the memory or the speed for the stages of two")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vision-language", "speech-to-speech"])
def test_what_is_shipped_can_be_planned(capsys, name):
    status, out, _ = run(capsys, "plan", name, "--on", "h100-sxm5-80gb", "--precision", "fp16")
    assert status == 0
    assert "It fits." in out


def test_several_devices_are_side_by_side(capsys):
    """Each row has the estimate of the device alone."""
    status, out, _ = run(capsys, "squeezenet1_1", "--on", "l4, rtx-4090", "--fps", "30", "--quiet")
    assert status == 0
    assert "2 of 2 devices hold the rate" in out
    for name in ("l4", "rtx-4090"):
        alone = run(capsys, "squeezenet1_1", "--on", name, "--fps", "30", "--quiet")[1]
        estimate = next(line.split()[1:3] for line in alone.splitlines() if line.startswith("estimate "))
        row = next(line for line in out.splitlines() if line.startswith(name))
        assert " ".join(estimate) in row


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--on", "l4,nonsense"), "no device named 'nonsense'"),
        (("--on", "l4,t4", "--format", "json"), "shows one device"),
        (("--on", "l4,t4", "--largest-batch"), "needs a single device"),
        (("--on", "l4,t4", "--precision", "fp4"), "none of l4, t4 has the precision"),
    ],
)
def test_what_several_devices_cannot_show_is_one_line(capsys, words, part):
    status, _, err = run(capsys, "squeezenet1_1", *words, "--quiet")
    assert status == 2
    assert part in err
    assert len(err.splitlines()) == 1


def test_a_measured_rate_has_its_own_utilisation(capsys):
    """3.2 steps a second: 3.2 times the model FLOPs of a step over the peak, whatever the estimate is."""
    words = ("squeezenet1_1", "--train", "--on", "l4", "--rate", "3.2", "--format", "json", "--quiet")
    _, out, _ = run(capsys, *words)
    document = json.loads(out)
    projection, phases = document["projection"], document["phases"]
    flops = phases["forward"]["flops"] + phases["backward"]["flops"]
    peak = projection["peak_ops_per_s"]["value"]
    assert projection["training"]["measured_mfu"]["value"] == pytest.approx(3.2 * flops / peak)
    assert projection["training"]["measured_mfu"]["kind"] == "measured"
    assert projection["measured_s"]["value"] == pytest.approx(1 / 3.2)
    assert projection["training"]["mfu"]["value"] > projection["training"]["measured_mfu"]["value"]
    assert run(capsys, "squeezenet1_1", "--on", "l4", "--rate", "0", "--quiet")[0] == 2


def test_the_sheet_of_a_device_lists_rates_with_sums_in_fp16(capsys):
    _, out, _ = run(capsys, "devices", "rtx-3090")
    assert "fp16 sums  fp16         142.3 TOPS" in out.splitlines()


def test_the_sheet_of_a_device_lists_the_fastest_product_that_was_measured(capsys):
    _, out, _ = run(capsys, "devices", "mi300x")
    assert "product    bf16         668.4 TOPS, the fastest measured: 51% of the dense rate" in out.splitlines()
