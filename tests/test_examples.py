"""Every example runs; each asserts what it shows."""

from __future__ import annotations

import re
import runpy
import shlex
import warnings
from pathlib import Path

import pytest

from profiler.cli import main

FOLDER = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Starts another counter, in a process that imports torch again.
HEAVY = {"two_tools_disagree.py", "will_it_fit.py"}


def run(script, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s.name not in HEAVY], ids=lambda script: script.stem)
def test_a_script_runs(script, capsys):
    run(script, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("script", [s for s in SCRIPTS if s.name in HEAVY], ids=lambda script: script.stem)
def test_a_heavy_script_runs(script, capsys):
    run(script, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs(notebook):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    book = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()


def test_there_are_eight_scripts_and_two_notebooks():
    assert len(SCRIPTS) >= 8
    assert len(NOTEBOOKS) >= 2


def test_the_command_of_the_workflow_runs(tmp_path, monkeypatch, capsys):
    (command,) = re.findall(r"run: profiler (.*)", (FOLDER / "github-workflow.yml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "budgets.toml").write_text('[[budget]]\ntarget = "squeezenet1_1"\nparams = 1\n')
    assert main(shlex.split(command)) == 1
    assert (tmp_path / "comment.md").read_text().startswith("### ❌")
