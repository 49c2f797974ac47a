"""Results on stdout alone, whatever models print and in whatever state the streams are.

Each process imports torch, which takes seconds: one of each kind runs by default, the others are slow tests.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from cli.command import run

import profiler.cli.operators as operators_command

NETS = """
import os, sys
from torch import nn
print("imported")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(8, 4)
        print("building")
    def forward(self, x):
        print("shape", tuple(x.shape))
        sys.__stdout__.write("past the redirection\\n")
        os.write(1, b"below Python\\n")
        return self.l(x)
"""
FULL = "error: cannot write to stdout: No space left on device\n"
CLOSED = "error: cannot write to stdout: it is closed; write to a file with --output\n"
BUDGETS = '[[budget]]\ntarget = "nets.py:Net"\ninput = "8"\nmacs = 32\n'


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``profiler`` is the command line."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    line = f'set -o pipefail; profiler() {{ {sys.executable} -m profiler "$@"; }}; {command}'
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths} | environment,
    )


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("nets.py:Net --input 8 --format json", json.loads),
        pytest.param(
            "nets.py:Net --input 8 --format csv",
            lambda text: list(csv.reader(io.StringIO(text))),
            marks=pytest.mark.slow,
        ),
        pytest.param("check budgets.toml --format json", json.loads, marks=pytest.mark.slow),
        pytest.param("diff nets.py:Net nets.py:Net --input 8 --format json", json.loads, marks=pytest.mark.slow),
    ],
)
def test_what_a_model_prints_is_on_stderr(here, words, read):
    (here / "budgets.toml").write_text(BUDGETS)
    done = shell(f"cd {here} && profiler {words}")
    assert done.returncode == 0, done.stderr
    document = read(done.stdout)
    assert document
    for printed in ("imported", "building", "shape (1, 8)", "past the redirection", "below Python"):
        assert printed in done.stderr
        assert printed not in done.stdout
    if isinstance(document, list):
        assert document[0][:3] == ["path", "type", "calls"]


def test_prints_within_the_process_are_apart_too(capsys, here):
    status, out, err = run(capsys, "nets.py:Net", "--input", "8", "--format", "json")
    assert status == 0
    assert json.loads(out)["totals"]["macs"] == 32
    assert "building" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "status", "err"),
    [
        ("profiler devices l4 > /dev/full", 2, FULL),
        ("profiler --help > /dev/full", 2, FULL),
        ("profiler devices l4 >&-", 2, CLOSED),
        ("profiler --version >&-", 2, CLOSED),
        ("profiler devices | true", 0, ""),
        ("profiler devices l4 2>&-", 0, ""),
        ("profiler devices l4 <&- 2> /dev/full", 0, ""),
        ("profiler --no-such-option 2> /dev/full", 2, ""),
        ("profiler --no-such-option >&- 2>&-", 2, ""),
    ],
)
def test_a_stream_that_is_full_closed_or_left_ends_in_a_line_and_a_status(command, status, err):
    done = shell(command)
    assert (done.returncode, done.stderr) == (status, err)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_file_that_takes_a_part_is_an_error_not_a_short_result(tmp_path, unbuffered):
    """Files may have 8 blocks of 512 or of 1,024 bytes: the first write is taken in part, without an error."""
    done = shell(f"ulimit -f 8; profiler devices > {tmp_path / 'devices.txt'}", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (2, "error: cannot write to stdout: File too large\n")
    assert (tmp_path / "devices.txt").stat().st_size in {4096, 8192}


@pytest.mark.slow
def test_a_reader_that_left_does_not_hide_a_broken_budget(here):
    (here / "budgets.toml").write_text(BUDGETS.replace("32", "31"))
    done = shell(f"cd {here} && profiler check budgets.toml 2>/dev/null | true")
    assert done.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_terminal_without_unicode_gets_ascii(here, environment):
    (here / "budgets.toml").write_text(BUDGETS)
    commands = ("profiler nets.py:Net --input 8 --on l4", "profiler check --help", "profiler check budgets.toml")
    line = " && ".join(f"{command} 2> /dev/null" for command in commands)
    done = shell(f"cd {here} && {line}", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "nets.py:Net * x 1x8 float32 * meta" in done.stdout
    assert "FLOPs = 2*MACs + other" in done.stdout


@pytest.mark.slow
def test_json_in_ascii_holds_the_same_text(here):
    (here / "nets.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.ModuleDict({'ü😀': nn.Linear(8, 4)})['ü😀'])\n"
    )
    command = f"cd {here} && profiler nets.py:net --input 8 --format json"
    assert json.loads(shell(command, PYTHONIOENCODING="ascii").stdout) == json.loads(shell(command).stdout)


def test_stdout_in_ascii_gets_ascii(capsys, here, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout := io.BytesIO(), encoding="ascii"))
    assert run(capsys, "nets.py:Net", "--input", "8").status == 0
    assert b"FLOPs = 2*MACs + other" in stdout.getvalue()


def test_a_full_stdout_is_one_line(capsys, monkeypatch):
    with suppress(OSError), Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        result = run(capsys, "devices", "l4")
    assert (result.status, result.err) == (2, FULL)


def test_a_closed_stdout_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    result = run(capsys, "devices", "l4")
    assert (result.status, result.err) == (2, CLOSED)


@pytest.mark.slow
def test_help_is_whole_without_docstrings():
    command = "{} -m profiler check --help"
    done = [shell(command.format(f"{sys.executable} {option}")).stdout for option in ("", "-OO")]
    assert "Accept the counts as the new baselines" in done[0]
    assert done[0] == done[1]


@pytest.mark.parametrize(
    "error", [RuntimeError("a\nb"), SystemExit(0), GeneratorExit(), RecursionError("deep"), MemoryError()]
)
def test_whatever_happens_is_one_line_and_a_status(capsys, monkeypatch, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(operators_command, "_select", fail)
    status, out, err = run(capsys, "operators")
    assert (status, out) == (4, "")
    assert err.startswith(f"error: profiler failed: {type(error).__name__}")
    assert err.count("\n") == 1
    assert "--debug" in err


@pytest.mark.parametrize("words", [("operators", "--debug"), ("operators",)])
def test_debug_shows_where_an_unexpected_error_was_raised(capsys, monkeypatch, words):
    message = "the cause"

    def fail(*_args, **_options):
        raise RuntimeError(message)

    monkeypatch.setattr(operators_command, "_select", fail)
    if len(words) == 1:
        monkeypatch.setenv("PROFILER_DEBUG", "1")
    status, _, err = run(capsys, *words)
    assert status == 4
    assert "Traceback" in err
    assert "the cause" in err
