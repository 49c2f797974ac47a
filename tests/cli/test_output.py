"""``--output`` of every command: the same bytes as on stdout, in the file or through what stands there."""

from __future__ import annotations

import os
import stat
import threading

import pytest
from cli.command import run

import profiler

COMMANDS = [
    ("torch.nn:ReLU", "--input", "4", "--quiet", "--format", "json"),
    ("view", "saved.json"),
    ("diff", "saved.json", "saved.json"),
    ("operators", "conv2d"),
    ("devices", "l4"),
    ("devices", "h100", "--format", "json"),
    ("derive", "torch.nn:ReLU", "--vary", "batch", "--input", "4", "--quiet"),
    ("plan", "pipeline.toml", "--on", "l4", "--quiet"),
    ("check", "budgets.toml", "--quiet"),
]


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Change to a folder with an input of each kind."""
    import torch

    monkeypatch.chdir(tmp_path)
    profiler.count(torch.nn.Linear(4, 4), torch.ones(1, 4)).save("saved.json")
    (tmp_path / "budgets.toml").write_text('[[budget]]\ntarget = "torch.nn:ReLU"\ninput = "4"\nmacs = 0\n')
    (tmp_path / "pipeline.toml").write_text(
        'name = "p"\n[[stages]]\nname = "a"\ntarget = "torch.nn:ReLU"\ninput = ["4"]\nper_s = 1\n'
    )
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_writes_to_a_private_file_and_through_a_fifo_what_it_prints(inputs, capsys, words):
    printed = run(capsys, *words)
    assert printed.status == 0, printed.err
    private, fifo = inputs / "private", inputs / "fifo"
    private.touch(0o600)
    assert run(capsys, *words, "-o", str(private)) == (0, "", printed.err)
    assert (private.read_text(), stat.S_IMODE(private.stat().st_mode)) == (printed.out, 0o600)
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    assert run(capsys, *words, "--output", str(fifo)).status == 0
    reader.join(10)
    assert read == [printed.out]
