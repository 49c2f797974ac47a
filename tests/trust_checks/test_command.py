"""``scripts/trust``: a line for each part, and a status that says whether something was lost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from trust_checks import __main__ as command
from trust_checks.outcome import Outcome, lines


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


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["nosuch"])
    assert "nosuch" in capsys.readouterr().err


def test_seconds_are_rounded():
    assert lines("files", Outcome(1, "files"), 61.6) == ["files: 1 files; lost: nothing (62 s)"]
