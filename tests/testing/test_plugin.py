"""The pytest plugin, run in pytest sessions inside the tests."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import torch

import profiler
import profiler.testing.fixture

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "profiler.testing.plugin", "-p", "no:cacheprovider")

TESTS = """
import pytest, torch
from torch import nn

def net(): return nn.Sequential(nn.Linear(8, 8), nn.Linear(8, {width}))

@pytest.mark.flop_budget(macs="+0 %", modules={{"1": {{"params": "+0 %"}}}})
@pytest.mark.parametrize("rows", [1, 2])
def test_net(profile_model, rows):
    p = profile_model(net(), torch.ones(rows, 8))
    assert p.totals.macs == rows * (64 + 8 * {width})
"""


@pytest.fixture(scope="module", autouse=True)
def _formulas_are_loaded() -> None:
    profiler.count(torch.nn.Linear(1, 1), torch.ones(1, 1))


@pytest.fixture(autouse=True)
def _no_other_plugin(monkeypatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester):
    def _run(source: str, *words: str) -> pytest.RunResult:
        pytester.makepyfile(test_net=source)
        return pytester.runpytest_inprocess(*PLUGIN, *words)

    return _run


def one(body: str, marker: str = "") -> str:
    """Return the source of a test file with one test."""
    indented = "\n    ".join(body.splitlines())
    return f"import pytest, torch\nfrom torch import nn\n{marker}\ndef test_it(profile_model):\n    {indented}\n"


def test_the_fixture_counts(run):
    run(one("assert profile_model(nn.Linear(8, 4), torch.ones(1, 8)).totals.macs == 32")).assert_outcomes(passed=1)


def test_the_fixture_counts_with_keywords(run):
    body = "assert profile_model(nn.Linear(8, 4), input=torch.ones(3, 8)).totals.macs == 96"
    run(one(body)).assert_outcomes(passed=1)


@pytest.mark.parametrize(("macs", "outcome"), [(32, "passed"), (31, "failed")])
def test_a_budget_holds_to_the_mac(run, macs, outcome):
    marker = f"@pytest.mark.flop_budget(macs={macs})"
    run(one("profile_model(nn.Linear(8, 4), torch.ones(1, 8))", marker)).assert_outcomes(**{outcome: 1})


def test_a_failure_reads_like_the_diff_and_has_no_traceback(run):
    marker = "@pytest.mark.flop_budget(macs=31)"
    result = run(one("profile_model(nn.Sequential(nn.Linear(8, 4)), torch.ones(1, 8))", marker))
    result.stdout.fnmatch_lines([
        "test_net.py::test_it · input 1×8 float32 · cpu · train mode",
        "macs * 32 * 31 * BROKEN",
        "macs is 32: 1 more than the 31 allowed; most of it is in 0 (aten.addmm)",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*another exception*")


def test_a_relative_budget_needs_a_baseline_and_says_how_to_make_one(run):
    result = run(TESTS.format(width=4))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["'test_net.py::test_net?1?' has no baseline for *--profiler-update*"])


def test_baselines_are_accepted_held_and_renewed(run, pytester):
    result = run(TESTS.format(width=4), "--profiler-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*profiler baselines*", "accepted *test_net.py-test_net-1-*.json, new: 96 macs*"])
    assert len(list((pytester.path / "baselines").iterdir())) == 2
    run(TESTS.format(width=4)).assert_outcomes(passed=2)
    result = run(TESTS.format(width=5))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["macs is 104: 8 more than the 96 allowed; it was 96; it changed most in 1 (aten.addmm)*"]
    )
    result = run(TESTS.format(width=5), "--profiler-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["~ 1 Linear aten.addmm*"])
    run(TESTS.format(width=5)).assert_outcomes(passed=2)


def test_the_folder_of_the_baselines_can_be_chosen(run, pytester):
    pytester.makeini("[pytest]\nprofiler_baselines = here/too\n")
    run(TESTS.format(width=4), "--profiler-update").assert_outcomes(passed=2)
    assert len(list((pytester.path / "here" / "too").iterdir())) == 2


def test_a_failed_test_accepts_nothing(run, pytester):
    marker = '@pytest.mark.flop_budget(macs="+0 %", params=1)'
    result = run(one("profile_model(nn.Linear(8, 4), torch.ones(1, 8))", marker), "--profiler-update")
    result.assert_outcomes(failed=1)
    assert not (pytester.path / "baselines").exists()


def test_a_broken_baseline_is_refused_and_kept(run, pytester):
    run(TESTS.format(width=4), "--profiler-update")
    (path, _) = sorted((pytester.path / "baselines").iterdir())
    path.write_text('{"schema": "prof')
    for words in ([], ["--profiler-update"]):
        result = run(TESTS.format(width=4), *words)
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*is not JSON, or was cut short*; restore it, or delete it and update*"])
    assert path.read_text() == '{"schema": "prof'


def test_a_baseline_written_meanwhile_fails_the_session(run, pytester):
    run(TESTS.format(width=4), "--profiler-update")
    spoil = "\n    import pathlib\n    for f in pathlib.Path('baselines').iterdir(): f.write_text('another')\n"
    result = run(TESTS.format(width=5) + spoil, "--profiler-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["error: *was written by another process since it was read*"])
    assert {path.read_text() for path in (pytester.path / "baselines").iterdir()} == {"another"}


def test_each_profile_of_a_test_has_its_own_baseline(run, pytester):
    marker = '@pytest.mark.flop_budget(macs="+0 %")'
    body = "for n in (1, 2): profile_model(nn.Linear(8, 4), torch.ones(n, 8))"
    run(one(body, marker), "--profiler-update").assert_outcomes(passed=1)
    assert len(list((pytester.path / "baselines").iterdir())) == 2
    run(one(body, marker)).assert_outcomes(passed=1)


def test_a_profile_of_a_training_step_can_be_held(run):
    body = (
        "import profiler\nmodel = nn.Linear(8, 4)\n"
        "with profiler.profile(model) as p:\n    model(torch.ones(1, 8)).sum().backward()\n"
        "profile_model.check(p.result)"
    )
    phases = "phases={{'backward': {{'macs': {}}}}}"
    run(one(body, f"@pytest.mark.flop_budget({phases.format(32)})")).assert_outcomes(passed=1)
    run(one(body, f"@pytest.mark.flop_budget({phases.format(31)})")).assert_outcomes(failed=1)


def test_the_old_name_of_check_warns(run):
    body = "with pytest.warns(DeprecationWarning, match='profile_model.hold is now profile_model.check'):\n    "
    run(one(body + "profile_model.hold(profile_model(nn.Linear(8, 4), torch.ones(1, 8)))")).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import pytest\n@pytest.mark.flop_budget(macs=1)\ndef test_it(): pass",
            "*marked flop_budget but profiled nothing*",
        ),
        (one("pass", "@pytest.mark.flop_budget(macs=1)"), "*marked flop_budget but profiled nothing*"),
        (
            one("profile_model(nn.Linear(1, 1), torch.ones(1, 1))", "@pytest.mark.flop_budget(mac=1)"),
            "no option or figure named 'mac'; did you mean 'macs'?",
        ),
    ],
)
def test_a_budget_that_holds_nothing_fails(run, source, message):
    result = run(source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([message])


def test_limits_are_given_by_name(run):
    result = run(one("pass", "@pytest.mark.flop_budget(5)"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*flop_budget takes limits by name*"])


def test_the_marker_is_known_to_strict_sessions(run):
    marker = "@pytest.mark.flop_budget(macs=32)"
    run(one("profile_model(nn.Linear(8, 4), torch.ones(1, 8))", marker), "--strict-markers").assert_outcomes(passed=1)


def test_the_workers_of_xdist_measure_and_the_controller_writes(run, pytester):
    pytester.makepyfile(test_net=TESTS.format(width=4))
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "xdist", "-n", "2", "--profiler-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*profiler baselines*", "accepted *test_net.py-test_net-1-*.json, new: 96 macs*"])
    assert len(list((pytester.path / "baselines").iterdir())) == 2
    run(TESTS.format(width=4)).assert_outcomes(passed=2)


def test_a_session_that_counts_nothing_does_not_import_torch():
    code = (
        "import sys, profiler.testing.plugin\n"
        "heavy = {'torch', 'numpy', 'rich', 'pydantic', 'cyclopts'} & set(sys.modules)\n"
        "print(sorted(heavy), sorted(m for m in sys.modules if m.startswith('profiler')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, ours = done.stdout.split("] [")
    assert heavy == "["
    assert set(ours.strip("]\n").replace("'", "").split(", ")) == {
        "profiler", "profiler.testing", "profiler.testing.plugin", "profiler.util", "profiler.util.lazy_imports",
    }  # fmt: skip


def test_pytest_finds_the_plugin_by_its_entry_point():
    (entry_point,) = entry_points(group="pytest11", name="profiler")
    assert entry_point.value == "profiler.testing.plugin"


def test_an_unchanged_baseline_that_another_process_wrote_meanwhile_keeps_the_others_as_they_were(tmp_path):
    from profiler.testing.fixture import write_baselines

    (tmp_path / "unchanged.json").write_text("theirs")
    rows = [
        {"file": "unchanged.json", "digest": "ours", "text": "", "shown": ""},
        {"file": "new.json", "digest": "", "text": "{}", "shown": "new"},
    ]
    shown, failed = write_baselines(tmp_path, rows)
    assert (failed, "unchanged.json was written by another process" in shown) == (True, True)
    assert not (tmp_path / "new.json").exists()
