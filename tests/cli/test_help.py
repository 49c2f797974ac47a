"""The help: on one screen, by question and by subject, and with examples that run."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from cli.command import run

import profiler.cli
from profiler.cli.app import app
from profiler.cli.help import EXAMPLES, OVERVIEW
from profiler.cli.subjects import QUESTIONS, SUBJECTS
from profiler.util.autoload import import_all

LINES, COLUMNS = 60, 80
import_all(profiler.cli)
COMMANDS = sorted(name for name in app if not name.startswith("-"))
PAGES = [("--help",), *((name, "--help") for name in COMMANDS), *(("help", subject) for subject in SUBJECTS)]
#: The commands of which an example builds no model; those of others are slow.
CHEAP = {"devices", "documents", "help", "operators", "peers"}
BUDGETS = '[[budget]]\ntarget = "resnet18"\nmacs = 1814073344\n'
MEASURED = "target,batch,precision,ms\n" + "".join(
    f"{name},16,fp16,{ms}\n" for name, ms in (("alexnet", 4), ("resnet18", 9), ("squeezenet1_1", 3), ("vgg11", 30))
)


def examples_of(text):
    return [shlex.split(line)[1:] for line in re.findall(r"^\* `(profiler .*)`$", text or "", re.MULTILINE)]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_a_page_of_help_fits_a_screen_and_ends_with_two_examples(capsys, page):
    status, out, err = run(capsys, *page)
    assert (status, err) == (0, "")
    lines = out.rstrip().splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    _, _, end = out.partition("Examples:")
    assert len(re.findall(r"^ • profiler ", end, re.MULTILINE)) == 2


def test_every_command_answers_one_of_the_questions():
    for name in COMMANDS:
        assert set(app[name].group) <= set(QUESTIONS), name


@pytest.mark.parametrize("words", [(), ("--help",), ("help",), ("resnet18", "--help")])
def test_the_overview_shows_the_questions_and_names_every_option_by_subject(capsys, words):
    status, out, _ = run(capsys, *words)
    assert status == 0
    for question in ("Count", "Explain", "Plan", "Guard", "Catalogues"):
        assert f"─ {question} ─" in out
    for option in ("--batch", "--train", "--against", "--on", "--world", "--format", "--debug"):
        assert option in out


@pytest.mark.parametrize(
    ("subject", "option"),
    [("model", "--batch"), ("training", "--optimizer"), ("peers", "--strict"), ("device", "--fps"),
     ("distributed", "--mesh"), ("output", "--format")],
)  # fmt: skip
def test_a_subject_shows_its_options_and_no_others(capsys, subject, option):
    _, out, _ = run(capsys, "help", subject)
    assert f"│ {option}" in out
    others = {"--batch", "--optimizer", "--strict", "--fps", "--mesh", "--format"} - {option}
    assert not any(f"│ {other}" in out for other in others)


def test_help_before_a_subject_shows_it_too(capsys):
    assert run(capsys, "--help", "training") == run(capsys, "help", "training")


def test_an_unknown_subject_is_refused_in_a_line(capsys):
    status, out, err = run(capsys, "help", "trainig")
    assert (status, out) == (2, "")
    assert "training" in err


def all_examples():
    texts = {"--help": OVERVIEW, **{name: app[name].help_epilogue for name in COMMANDS}, **EXAMPLES}
    for source, text in texts.items():
        for words in examples_of(text):
            marks = [] if words[0] in CHEAP else [pytest.mark.slow]
            marks += [pytest.mark.sweep] if words[0] == "layouts" else []  # minutes each
            yield pytest.param(words, id=f"{source}: {' '.join(words)}", marks=marks)


@pytest.mark.parametrize("words", list(all_examples()))
def test_an_example_runs(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "budgets.toml").write_text(BUDGETS)
    (tmp_path / "measured.csv").write_text(MEASURED)
    if words[0] == "view":
        assert run(capsys, "resnet18", "--format", "json", "--output", "resnet18.json").status == 0
    status, out, err = run(capsys, *words)
    assert status == 0, err
    assert out or "--output" in words
    if words[-2:] == ["--format", "json"]:
        json.loads(out)
