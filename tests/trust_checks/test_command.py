"""``scripts/trust``: a line for each part, and a status that says whether something was lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from trust_checks import __main__ as command
from trust_checks.outcome import Outcome, lines
from trust_checks.parts import files, load, models


def run_with(monkeypatch, outcome: Outcome) -> tuple[int, list[tuple[bool, int]]]:
    calls = []

    def run(*, quick, seed):
        calls.append((quick, seed))
        return outcome

    monkeypatch.setattr(command, "import_module", lambda _name: SimpleNamespace(run=run))
    return command.main(["supply", "--quick", "--seed", "7"]), calls


def test_a_part_that_lost_nothing_is_one_line(monkeypatch, capsys):
    status, calls = run_with(monkeypatch, Outcome(20_000, "files"))
    assert (status, calls) == (0, [(True, 7)])
    assert capsys.readouterr().out == "supply: 20,000 files; lost: nothing (0 s)\n"


def test_a_part_that_lost_something_fails_and_says_what(monkeypatch, capsys):
    status, _ = run_with(monkeypatch, Outcome(2, "files", ("file 1", "file 2"), ("no tmpfs here",)))
    assert status == 1
    printed = ["supply: 2 files; lost: 2 (0 s)", "  lost: file 1", "  lost: file 2", "  note: no tmpfs here"]
    assert capsys.readouterr().out.splitlines() == printed


def test_a_part_that_crashes_has_lost_something(monkeypatch, capsys):
    monkeypatch.setattr(command.subprocess, "run", lambda *_args, **_options: SimpleNamespace(returncode=-11))
    assert command.main(["supply", "supply"]) == 1
    assert "supply: ended with status -11" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ((), {}),
        (("--only", "kills"), {"only": "kills"}),
        (("--numbers", "457-999"), {"numbers": range(457, 1000)}),
        (("--numbers", "7"), {"numbers": range(7, 8)}),
    ],
)
def test_a_part_runs_the_share_that_is_asked(monkeypatch, words, share):
    calls = []

    def run(*, quick, seed, only=None, numbers=None):
        del quick, seed
        calls.append({name: value for name, value in (("only", only), ("numbers", numbers)) if value is not None})
        return Outcome(1, "files")

    monkeypatch.setattr(command, "import_module", lambda _name: SimpleNamespace(run=run, SECTIONS=("kills",)))
    assert command.main(["files", *words]) == 0
    assert calls == [share]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("files", "--only", "nosuch"), "files has no 'nosuch', only 'profile', 'difference'"),
        (("load", "--numbers", "0-9"), "load has no --numbers"),
        (("names", "--only", "x"), "names has no --only"),
        (("files", "models", "--numbers", "0-9"), "--only and --numbers take one part"),
        (("files", "--numbers", "9-0"), "9-0"),
    ],
)
def test_a_share_that_a_part_does_not_have_is_refused(capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        command.main(words)
    assert message in capsys.readouterr().err


def test_the_models_of_a_share_are_those_of_a_whole_run(monkeypatch):
    drawn = []
    monkeypatch.setattr(models, "_try", lambda name, seed: drawn.append((name, seed)))
    models.run(quick=False, seed=2)
    whole, drawn[:] = set(drawn), []
    outcome = models.run(quick=False, seed=2, only="the allocator", numbers=range(457, 1000))
    assert outcome.tried == len(drawn) == 543
    assert {name for name, _ in drawn} == {"the allocator"}
    assert set(drawn) < whole


def test_the_files_of_a_share_are_those_of_a_whole_run(monkeypatch):
    names = []
    monkeypatch.setattr(files, "write_samples", lambda _folder: dict.fromkeys(files.KINDS, b""))
    monkeypatch.setattr(files, "read", lambda *_: (0, ""))
    monkeypatch.setattr(files, "changed", lambda _sample, *name: names.append(name))
    files.run(quick=False, seed=2)
    whole, names[:] = set(names), []
    assert files.run(quick=False, seed=2, only="prices", numbers=range(100, 200)).tried == len(names) == 100
    assert {kind for kind, *_ in names} == {"prices"}
    assert set(names) < whole


def test_a_check_of_load_runs_alone(monkeypatch):
    ran = []
    checks = {name: lambda quick, random, name=name: (ran.append(name) or "tried", []) for name in load.CHECKS}
    monkeypatch.setattr(load, "CHECKS", checks)
    assert load.run(quick=True, seed=0, only="kills").tried == 1
    assert ran == ["kills"]


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["nosuch"])
    assert "nosuch" in capsys.readouterr().err


def test_seconds_are_rounded():
    assert lines("files", Outcome(1, "files"), 61.6) == ["files: 1 files; lost: nothing (62 s)"]
