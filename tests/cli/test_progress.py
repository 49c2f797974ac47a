"""Long commands show what they do and how far they are: on a terminal, and nothing on a pipe."""

from __future__ import annotations

import io
import re
import sys

import pytest
from cli.command import run

NETS = """
from torch import nn

def small(): return nn.Linear(8, 4)
def large(): return nn.Linear(8, 16)
"""
BUDGETS = "".join(f'[[budget]]\ntarget = "nets.py:{name}"\ninput = "8"\nparams = 200\n' for name in ("small", "large"))
COMMANDS = {
    "check": (("check", "budgets.toml"), 2),
    "compare": (("compare", "nets.py:small", "nets.py:large", "--input", "8"), 2),
    "rank": (("rank", "nets.py:small", "--input", "8", "--on", "l4,t4,a100-sxm4-80gb"), 3),
    "verify": (("verify", "gpu", "--claim", "gpu-1080ti,gpu-2080ti"), 2),
    "against": (("nets.py:small", "--input", "8", "--against", "flop_counter,torch_profiler"), 2),
}


COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SILENT = {name: row for name, row in COMMANDS.items() if name != "against"}  # see test_peer_options.py


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def files(here, monkeypatch):
    (here / "budgets.toml").write_text(BUDGETS)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize(("words", "parts"), COMMANDS.values(), ids=COMMANDS)
def test_a_long_command_shows_a_bar_with_counts_on_a_terminal(capsys, files, monkeypatch, words, parts):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(capsys, *words)
    shown = set(re.findall(rf"\b(\d)/{parts}\b", COLOURS.sub(" ", terminal.getvalue())))
    assert str(parts) in shown


@pytest.mark.parametrize(("words", "parts"), SILENT.values(), ids=SILENT)
def test_a_long_command_shows_no_bar_on_a_pipe_and_none_if_it_is_to_be_quiet(capsys, files, monkeypatch, words, parts):
    assert f"/{parts}" not in run(capsys, *words).err
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(capsys, *words, "--quiet")
    assert not re.search(rf"\d/{parts}", terminal.getvalue())
