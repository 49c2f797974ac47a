"""``--no-code``: no command, and no data file, imports anything that does not come with the installed packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.command import run

NETS = """
from pathlib import Path
from torch import nn

Path("IMPORTED").touch()

def net():
    return nn.Linear(4, 4)
"""
BUDGETS = '[[budget]]\ntarget = "{target}"\ninput = "4"\nmacs = 1000\n'
PIPELINE = 'name = "p"\n[[stages]]\nname = "a"\ntarget = "{target}"\ninput = ["4"]\nper_s = 1\n'
CLAIM = """
[[claims]]
id = "claim-{i}"
says = "It has 20 parameters."
kind = "fact"
unit = "parameter"
printed = "20"
measures.ours = {{ target = "{target}", count = "params", input = ["4"] }}
"""
TARGETS = [
    "nets:net",
    "nets.py:net",
    "program.pt2",
    "module.pt",
    "module.ts",
    "torch.nn:modules.linear.Linear",
    "os:abort",
]


def imports_code(capsys, *words):
    """Run a command with --no-code in each place it can stand, and return what it wrote to stderr."""
    first = run(capsys, "--no-code", *words)
    last = run(capsys, *words, "--no-code")
    assert (first.status, last.status) == (2, 2), first.err + last.err
    assert not Path("IMPORTED").exists()
    assert "nets" not in sys.modules
    return last.err + last.out


@pytest.fixture(autouse=True)
def importable(here, monkeypatch):
    monkeypatch.syspath_prepend(os.fspath(here))
    monkeypatch.delitem(sys.modules, "nets", raising=False)


@pytest.mark.parametrize("target", TARGETS)
def test_a_profile_refuses_it_in_one_line(capsys, target):
    error = imports_code(capsys, target, "--input", "4")
    assert error.splitlines() == [
        f"error: --no-code refuses {target!r}, which runs code of its own; use a model of torchvision, timm: or hf:"
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("{0}", "--input", "4", "--against", "thop"),
        ("{0}", "--input", "4", "--train"),
        ("derive", "{0}", "--vary", "batch", "--input", "4"),
        ("diff", "{0}", "{0}", "--input", "4"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_it(capsys, words):
    assert "--no-code refuses 'nets:net'" in imports_code(capsys, *(word.format("nets:net") for word in words))


@pytest.mark.parametrize(
    ("command", "text"),
    [("check", BUDGETS), ("plan", PIPELINE), ("verify", 'title = "t"\nlanguage = "en"\norigin = "o"\n' + CLAIM)],
)
def test_every_data_file_is_refused(capsys, here, command, text):
    (here / "data.toml").write_text(text.format(target="nets:net", i=1))
    on = ("--on", "l4") if command == "plan" else ()
    assert "--no-code refuses 'nets:net'" in imports_code(capsys, command, "data.toml", *on)


def test_a_document_whose_claims_are_checked_in_other_processes_is_refused(here):
    claims = "".join(CLAIM.format(target="nets:net", i=i) for i in range(12))
    (here / "data.toml").write_text(f'title = "t"\nlanguage = "en"\norigin = "o"\n{claims}')
    command = [sys.executable, "-m", "profiler", "verify", "data.toml", "--no-code"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "--no-code refuses 'nets:net'" in result.stderr
    assert not Path("IMPORTED").exists()
    assert subprocess.run(command[:-1], capture_output=True, check=False).returncode == 0
    assert Path("IMPORTED").exists()


@pytest.mark.parametrize("target", ["resnet18", "torchvision:resnet18", "timm:resnet18", "hf:gpt2", "torch.nn:ReLU"])
def test_models_of_the_catalogues_are_counted(capsys, target):
    size = ("--input", "4") if target == "torch.nn:ReLU" else ()
    assert run(capsys, target, *size, "--no-code", "--quiet").status == 0


def test_a_configuration_is_counted(capsys, here):
    (here / "config.json").write_text('{"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}')
    assert run(capsys, "hf:config.json", "--no-code", "--quiet").status == 0


def test_what_is_refused_once_is_allowed_without_the_option(capsys):
    assert run(capsys, "nets:net", "--input", "4", "--no-code").status == 2
    assert run(capsys, "nets:net", "--input", "4", "--quiet").status == 0
    assert Path("IMPORTED").exists()
