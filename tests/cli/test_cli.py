"""Words in; text on stdout, notes on stderr, and an exit status out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cli.command import run

NETS = """
import torch
from torch import nn

def net(): return nn.Linear(8, 4)
def seven(): return 7
def broken(): raise RuntimeError("no such weights")
class Raises(nn.Module):
    def forward(self, x): raise ValueError("in the middle")
class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 2)
    def forward(self, x): return self.a(x) if x.sum().item() > 1e9 else self.b(x)
class Writes(nn.Module):
    def forward(self, x): raise KeyboardInterrupt
"""


def test_resnet18_as_json(capsys):
    status, out, err = run(capsys, "resnet18", "--format", "json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["totals"]["macs"] == 1_814_073_344
    assert document["totals"]["params"] == 11_689_512
    assert document["uncounted"] == []
    assert document["device"] == "meta"


def test_the_text_report_is_the_default(capsys):
    status, out, _ = run(capsys, "resnet18")
    assert status == 0
    assert "1,814,073,344" in out
    assert "layer4" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_help_shows_the_commands_and_the_options(capsys, words):
    status, out, _ = run(capsys, *words)
    assert status == 0
    for word in ("view", "--batch", "--input", "--device", "--format", "--output", "--quiet", "--debug"):
        assert word in out


def test_a_batch_scales_the_work(capsys):
    _, one, _ = run(capsys, "resnet18", "--format", "json")
    _, four, _ = run(capsys, "resnet18", "--batch", "4", "--format", "json")
    assert json.loads(four)["totals"]["macs"] == 4 * json.loads(one)["totals"]["macs"]


def test_an_input_may_be_a_samples_shape(capsys):
    _, out, _ = run(capsys, "resnet18", "--input", "3x64x64", "--format", "json")
    assert json.loads(out)["inputs"]["x"]["shape"] == [1, 3, 64, 64]


def test_a_factory_in_a_file_is_a_target(capsys, here):
    status, out, _ = run(capsys, "nets.py:net", "--input", "8", "--format", "json")
    assert status == 0
    assert json.loads(out)["totals"]["macs"] == 32


def test_a_model_that_looks_at_its_values_runs_on_the_cpu_and_says_so(capsys, here):
    status, out, err = run(capsys, "nets.py:Looks", "--input", "8", "--format", "json")
    assert status == 0
    assert json.loads(out)["device"] == "cpu"
    assert json.loads(out)["totals"]["macs"] == 16
    assert err.startswith("note: nets.py:Looks needs tensor values")
    assert len(err.splitlines()) == 1


def test_quiet_says_nothing_on_stderr(capsys, here):
    assert run(capsys, "nets.py:Looks", "--input", "8", "--quiet")[2] == ""


def test_output_goes_to_a_file_and_comes_back(capsys, here):
    status, out, _ = run(capsys, "nets.py:net", "--input", "8", "--format", "json", "--output", "a.json")
    assert (status, out) == (0, "")
    status, out, _ = run(capsys, "view", "a.json")
    assert status == 0
    assert "Linear" in out
    status, out, _ = run(capsys, "view", "a.json", "--format", "json")
    assert out == (here / "a.json").read_text()


BAD = [
    (("resnt18",), 2, "no torchvision model named 'resnt18'; did you mean 'resnet18'"),
    (("resnet18", "--input", "3x22y"), 2, "'3x22y'"),
    (("resnet18", "--input", "3x0x8"), 2, "0"),
    (("resnet18", "--input", "pixels=1x3x8x8"), 2, "pixels"),
    (("resnet18", "--batch", "many"), 2, "many"),
    (("resnet18", "--batch", "0"), 2, "batch"),
    (("resnet18", "--dtype", "float31"), 2, "float31"),
    (("resnet18", "--device", "moon"), 2, "moon"),
    (("resnet18", "--format", "xml"), 2, "xml"),
    (("resnet18", "--no-such-option"), 2, "--no-such-option"),
    (("resnet18", "--output", "none/a.json"), 2, "cannot write none/a.json"),
    (("resnet18", "--input", "5x224x224"), 3, "ResNet raised"),
    (("nets.py:net", "--input", "9"), 3, "Linear raised"),
    (("nets.py:nett", "--input", "8"), 2, "nett"),
    (("none.py:net",), 2, "none.py"),
    (("nets.py:seven", "--input", "8"), 2, "seven"),
    (("nets.py:broken", "--input", "8"), 3, "no such weights"),
    (("nets.py:Raises", "--input", "8"), 3, "in the middle"),
    (("no.such.module:net",), 2, "no.such.module"),
    (("view", "none.json"), 2, "cannot read none.json"),
    (("view", "nets.py"), 2, "is not JSON"),
    (("view", "empty.json"), 2, "is not JSON, or was cut short"),
    (("hf:gtp2",), 2, "gpt2"),
    (("hf:none/config.json",), 2, "none/config.json"),
    (("timm:resnet19",), 2, "resnet"),
    (("none.pt2",), 2, "none.pt2"),
    (("empty.pt2",), 2, "empty.pt2"),
]


@pytest.mark.parametrize(("words", "status", "part"), BAD, ids=[" ".join(words) for words, _, _ in BAD])
def test_bad_input_is_one_line_and_a_status(capsys, here, words, status, part):
    (here / "empty.json").write_text("")
    (here / "empty.pt2").write_text("")
    before = sorted(here.iterdir())
    found, out, err = run(capsys, *words)
    assert found == status, err
    assert out == ""
    errors = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, err
    assert errors[0].startswith("error: ")
    assert part in errors[0]
    assert [f for f in sorted(here.iterdir()) if f.name != "__pycache__"] == before


def test_an_interrupt_is_one_line(capsys, here):
    status, _, err = run(capsys, "nets.py:Writes", "--input", "8")
    assert (status, err) == (130, "error: interrupted\n")


def test_an_interrupt_while_the_commands_are_loaded_is_one_line(capsys, here, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["profiler.cli.app"], "_load_commands", interrupted)
    status, _, err = run(capsys, "devices")
    assert (status, err) == (130, "error: interrupted\n")


def test_debug_shows_the_traceback(capsys, here):
    status, _, err = run(capsys, "nets.py:Raises", "--input", "8", "--debug")
    assert status == 3
    assert "Traceback" in err
    assert "in the middle" in err


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "profiler", "resnet18", "--format", "csv"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("path,type,calls,self_macs")
    assert done.stderr == ""
