"""``compare``: several models in one table."""

from __future__ import annotations

import csv
import io
import json

import pytest
import torch
from cli.command import run
from torch import nn

import profiler
import profiler.errors
from profiler.run.count_target import count_target

MODELS = ("compare", "resnet18", "squeezenet1_1", "resnet99", "--quiet")


def test_each_row_is_the_profile_of_its_model(capsys):
    status, out, _ = run(capsys, *MODELS, "--format", "json", "--on", "l4")
    rows = {row["name"]: row for row in json.loads(out)["models"]}
    totals = count_target("resnet18").totals
    assert status == 0
    assert (rows["resnet18"]["macs"], rows["resnet18"]["params"]) == (totals.macs, totals.params)
    alone = json.loads(run(capsys, "resnet18", "--on", "l4", "--format", "json", "--quiet")[1])["projection"]
    assert rows["resnet18"]["seconds"]["l4"] == alone["estimate_s"]["value"]
    assert rows["resnet18"]["accuracy"] == pytest.approx(69.758)
    assert "no torchvision model named 'resnet99'" in rows["resnet99"]["error"]


def test_the_best_is_marked_and_a_failure_is_a_row(capsys):
    _, out, _ = run(capsys, *MODELS)
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "1.235 M *" in lines["squeezenet1_1"]
    assert "69.76 *" in lines["resnet18"], "more accuracy is better"
    assert lines["resnet99"].count("failed") > 3


def test_the_number_of_a_peer_is_a_column(capsys):
    _, out, _ = run(capsys, "compare", "squeezenet1_1", "--against", "thop", "--format", "json", "--quiet")
    (row,) = json.loads(out)["models"]
    assert [peer["name"] for peer in row["peers"]] == ["thop"] * len(row["peers"])
    assert any(abs(peer["claimed"] - row["macs"]) < 0.05 * row["macs"] for peer in row["peers"])


def test_a_device_without_the_precision_says_so(capsys):
    _, out, _ = run(capsys, "compare", "squeezenet1_1", "--on", "rk3588", "--quiet")
    assert "no such precision" in out
    _, out, _ = run(capsys, "compare", "squeezenet1_1", "--on", "rk3588", "--precision", "int8", "--quiet")
    assert "no such precision" not in out


def test_csv_markdown_and_latex(capsys):
    rows = list(csv.DictReader(io.StringIO(run(capsys, *MODELS, "--format", "csv")[1])))
    assert [row["model"] for row in rows] == ["resnet18", "squeezenet1_1", "resnet99"]
    markdown = run(capsys, *MODELS, "--format", "markdown")[1]
    assert "**1.235 M**" in markdown
    latex = run(capsys, *MODELS, "--format", "latex")[1]
    assert latex.startswith(r"\begin{tabular}{lrrrrrr}")
    assert r"\textbf{1.235 M}" in latex
    assert r"squeezenet1\_1" in latex


def test_saved_profiles_are_rows_too(capsys, tmp_path):
    step = profiler.count_step(nn.Linear(8, 4), torch.ones(2, 8))
    step.save(tmp_path / "step.json")
    words = ("compare", str(tmp_path / "step.json"), str(tmp_path / "none.json"), "squeezenet1_1", "--quiet")
    status, out, _ = run(capsys, *words, "--on", "l4", "--format", "json")
    saved, missing, counted = json.loads(out)["models"]
    assert status == 0
    assert saved["macs"] == step.totals.macs == 2 * 2 * 8 * 4
    assert saved["seconds"]["l4"] > 0
    assert "none.json" in missing["error"]
    assert counted["macs"] > 0
    status, out, err = run(capsys, *words, "--against", "thop")
    assert (status, out) == (2, "")
    assert "step.json is a saved profile; name the model instead" in err


def test_in_python():
    x = torch.empty(1, 64, device="meta")
    wide, narrow = (nn.Linear(64, n, device="meta") for n in (100, 10))
    comparison = profiler.compare({"wide": (wide, (x,)), "narrow": profiler.count(narrow, x)}, on=["l4"])
    assert [row.macs for row in comparison.rows] == [6400, 640]
    assert "640 *" in str(comparison)


def test_a_model_that_raises_is_a_row():
    comparison = profiler.compare({"bad": (nn.Linear(4, 4), (torch.ones(1, 5),))})
    assert "raised" in comparison.rows[0].error


@pytest.mark.parametrize("entry", [nn.Linear(4, 4), "resnet18", ()])
def test_what_is_no_call_is_refused(entry):
    with pytest.raises(profiler.errors.InputError, match="neither a profile nor"):
        profiler.compare({"x": entry})


@pytest.mark.parametrize("form", ["text", "svg"])
def test_a_model_that_is_left_out_is_noted(capsys, form):
    status, out, err = run(capsys, "compare", "squeezenet1_1", "resnet99", "--format", form)
    notes = [line for line in err.splitlines() if "not counted" in line]
    assert (status, [note.partition(";")[0] for note in notes]) == (
        0,
        ["note: not counted: resnet99: no torchvision model named 'resnet99'"],
    )
    assert out


def test_no_model_that_can_be_counted_fails(capsys):
    assert run(capsys, "compare", "resnet99", "--quiet")[0] == 1
    status, out, err = run(capsys, "compare", "--quiet")
    assert (status, out) == (2, "")
    assert "no model to compare" in err
    assert run(capsys, "compare", "resnet18", "--on", "nonsense", "--quiet")[0] == 2
