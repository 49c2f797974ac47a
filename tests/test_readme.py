"""The README is true: its commands print what it shows, its code runs, and .ci/run runs its line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from profiler.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
SESSIONS = re.findall(r"```console\n\$ python -m (profiler .*?)\n(.*?)```", README, flags=re.DOTALL)


def without_versions(text: str) -> str:
    """Replace the versions of peers: what they print depends on what is installed."""
    return re.sub(
        r"\b(torch|fvcore|thop|ptflops|torchinfo|calflops|torchprofile) \d[\w.+]*", r"\1 VERSION", text.strip()
    )


@pytest.mark.parametrize("code", CODE, ids=[code.strip().splitlines()[-1][:40] for code in CODE])
def test_the_python_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - the README's own code


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_the_commands_print_what_is_shown(command, shown, capsys):
    status = main(shlex.split(command)[1:])
    captured = capsys.readouterr()
    assert status == (2 if shown.startswith("error: ") else 1 if "\nerror: " in shown else 0)
    assert without_versions(captured.out + captured.err) == without_versions(shown)


def test_ci_runs_the_readmes_own_line():
    lines = re.findall(r"```sh\n(.*?)\n```", README)
    assert len(lines) == 2, "one line installs and profiles, one installs and tests"
    assert lines[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_there_are_blocks_to_check():
    assert len(CODE) >= 3
    assert len(SESSIONS) >= 2
