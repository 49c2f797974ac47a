"""``profiler check``: budgets in; text, JSON, JUnit XML, annotations and an exit status out."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from cli.command import run

from profiler.tally import load

NETS = """
from torch import nn

def named(**modules):
    net = nn.Sequential()
    for name, module in modules.items(): net.add_module(name, module)
    return net
def net(): return named(body=nn.Linear(8, 8), fc=nn.Linear(8, WIDTH))
class Raises(nn.Module):
    def forward(self, x): raise ValueError("in the middle")
"""

BUDGETS = """
[[budget]]
name = "net"
target = "nets.py:net"
input = "8"
macs = "+0 %"
modules.body.params = 72
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "budgets.toml").write_text(BUDGETS)
    width(tmp_path, 4)
    return tmp_path


def width(folder, out: int) -> None:
    """Make the model's head so wide: 64 + 8·out MAC."""
    (folder / "nets.py").write_text(NETS.replace("WIDTH", str(out)))


def check(capsys, *words):
    return run(capsys, "check", "budgets.toml", *words)


def fixed(folder, macs: int) -> None:
    (folder / "budgets.toml").write_text(BUDGETS.replace('"+0 %"', str(macs)))


def test_a_budget_that_is_met_passes(capsys, here):
    fixed(here, 96)
    status, out, err = check(capsys)
    assert (status, err) == (0, "")
    assert out.endswith("All 3 limits hold.\n")
    assert [line.split() for line in out.splitlines() if line.startswith("macs")] == [["macs", "96", "96"]]


def test_a_budget_that_is_missed_by_one_mac_fails(capsys, here):
    fixed(here, 95)
    status, out, err = check(capsys)
    assert (status, err) == (1, "error: 1 of 3 limits is broken: net\n")
    assert "macs is 96: 1 more than the 95 allowed; most of it is in body (aten.addmm)" in out
    assert "BROKEN" in out


def test_the_first_baseline_is_accepted_and_shown(capsys, here):
    status, out, _ = check(capsys, "--update")
    assert status == 0
    assert "accepted baselines/net.json, new: 96 macs, 204 flops, 108 params" in out
    assert load("baselines/net.json").totals.macs == 96
    assert check(capsys)[0] == 0


def test_what_grew_is_named_with_its_module_and_operator(capsys, here):
    check(capsys, "--update")
    width(here, 5)
    status, out, err = check(capsys)
    assert (status, err) == (1, "error: 1 of 3 limits is broken: net\n")
    assert "macs is 104: 8 more than the 96 allowed; it was 96; it changed most in fc (aten.addmm), by +8" in out
    assert [line.split() for line in out.splitlines() if line.startswith("~")] == [
        ["~", "fc", "aten.addmm", "32", "40", "+8"]
    ]


def test_an_update_accepts_and_shows_the_difference(capsys, here):
    check(capsys, "--update")
    width(here, 5)
    status, out, _ = check(capsys, "--update")
    assert status == 0
    assert "accepted baselines/net.json\n" in out
    assert "~ fc Linear aten.addmm" in out
    assert check(capsys)[0] == 0


def test_an_update_without_change_writes_nothing(capsys, here):
    check(capsys, "--update")
    before = (here / "baselines" / "net.json").stat()
    status, out, _ = check(capsys, "--update")
    assert status == 0
    assert out.endswith("1 of 1 baselines are unchanged.\n")
    after = (here / "baselines" / "net.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_two_runs_write_the_same_bytes(capsys, here):
    check(capsys, "--update")
    first = (here / "baselines" / "net.json").read_bytes()
    (here / "baselines" / "net.json").unlink()
    check(capsys, "--update")
    assert (here / "baselines" / "net.json").read_bytes() == first


def test_a_fixed_limit_holds_in_an_update_too(capsys, here):
    check(capsys, "--update")
    width(here, 5)
    (here / "budgets.toml").write_text(BUDGETS + "params = 1\n")
    before = (here / "baselines" / "net.json").read_bytes()
    status, _, err = check(capsys, "--update")
    assert (status, err) == (1, "error: 1 of 3 limits is broken: net; no baseline is updated\n")
    assert (here / "baselines" / "net.json").read_bytes() == before


@pytest.mark.parametrize("words", [(), ("--update",)])
@pytest.mark.parametrize("damage", [lambda b: b[:200], lambda b: b.replace(b"profiler/1", b"profiler/0")])
def test_a_broken_baseline_is_refused_and_not_written_over(capsys, here, words, damage):
    check(capsys, "--update")
    path = here / "baselines" / "net.json"
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    status, _, err = check(capsys, *words)
    assert status == 2
    assert err.startswith("error: baselines/net.json ")
    assert len(err.splitlines()) == 1
    assert path.read_bytes() == before


def test_a_missing_baseline_is_an_error_with_its_cure(capsys, here):
    status, _, err = check(capsys)
    assert status == 2
    assert err.startswith("error: 'net' has no baseline for `macs = '+0 %'`; run with --update")


def test_one_model_that_fails_does_not_hide_the_others(capsys, here):
    fixed(here, 95)
    with (here / "budgets.toml").open("a") as file:
        file.write('[[budget]]\ntarget = "nets.py:nett"\nmacs = 1\n')  # status 2; the worst one counts
        file.write('[[budget]]\ntarget = "nets.py:Raises"\ninput = "8"\nmacs = 1\n')
    status, out, err = check(capsys)
    assert status == 3
    assert err == "error: Raises raised ValueError: in the middle\n"
    assert "macs is 96" in out
    assert "nets.py:Raises\n\nnot checked: Raises raised ValueError: in the middle" in out


def test_a_budget_can_be_of_a_training_step(capsys, here):
    # forward 96; for the weights' gradients 96; for the head's input 32
    (here / "budgets.toml").write_text(
        '[[budget]]\ntarget = "nets.py:net"\ninput = "8"\ntrain = true\noptimizer = "sgd"\n'
        "macs = 224\nphases.backward.macs = 127\n"
    )
    status, out, _ = check(capsys)
    assert status == 1
    assert "backward macs is 128: 1 more than the 127 allowed" in out
    assert "macs is 224" not in out


def test_the_options_of_a_step_need_a_step(capsys, here):
    (here / "budgets.toml").write_text('[[budget]]\ntarget = "nets.py:net"\noptimizer = "sgd"\nmacs = 1\n')
    assert check(capsys)[0] == 2


def test_json_has_the_limits_and_where_they_are_broken(capsys, here):
    check(capsys, "--update")
    width(here, 5)
    status, out, _ = check(capsys, "--format", "json")
    document = json.loads(out)
    assert (status, document["schema"], document["passed"]) == (1, "profiler-check/1", False)
    macs, params, uncounted = document["budgets"][0]["limits"]
    assert (macs["written"], macs["value"], macs["most"], macs["baseline"], macs["passed"]) == (
        "+0 %",
        104,
        96,
        96,
        False,
    )
    assert [(row["module"], row["operator"], row["change"]) for row in macs["where"]] == [("fc", "aten.addmm", 8)]
    assert (params["part"], params["pattern"], params["figure"], params["passed"]) == (
        "modules",
        "body",
        "params",
        True,
    )
    assert (uncounted["most"], uncounted["passed"]) == (0, True)


def test_junit_has_a_case_for_each_limit(capsys, here):
    fixed(here, 95)
    _, out, _ = check(capsys, "--format", "junit")
    suite = ET.fromstring(out).find("testsuite")  # noqa: S314 - our own text
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors")} == {
        "name": "budgets.toml", "tests": "3", "failures": "1", "errors": "0"
    }  # fmt: skip
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        ("net", "macs"), ("net", "body params"), ("net", "uncounted")
    ]  # fmt: skip
    failure = suite[0].find("failure")
    assert failure.get("message").startswith("macs is 96: 1 more than the 95 allowed")
    assert "body    aten.addmm" in failure.text


def test_junit_shows_a_model_that_failed_as_an_error(capsys, here):
    (here / "budgets.toml").write_text('[[budget]]\ntarget = "nets.py:Raises"\ninput = "8"\nmacs = 1\n')
    _, out, _ = check(capsys, "--format", "junit")
    (error,) = ET.fromstring(out).iter("error")  # noqa: S314 - our own text
    assert error.get("message") == "Raises raised ValueError: in the middle"


def test_github_shows_what_is_broken_beside_the_budget(capsys, here, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    check(capsys, "--update")
    width(here, 5)
    _, out, err = check(capsys, "--format", "json")
    line = next(line for line in err.splitlines() if line.startswith("::"))
    assert line == (
        "::error file=budgets.toml,line=2,title=net%3A macs::macs is 104: 8 more than the 96 allowed; it was 96; "
        "it changed most in fc (aten.addmm), by +8"
    )
    assert json.loads(out)["passed"] is False


def test_annotations_are_for_github_alone(capsys, here):
    fixed(here, 95)
    assert "::error" not in "".join(check(capsys)[1:])


def test_output_goes_to_a_file(capsys, here):
    fixed(here, 96)
    assert check(capsys, "--format", "junit", "--output", "check.xml")[:2] == (0, "")
    assert (here / "check.xml").read_text().startswith("<testsuites>")


def test_a_file_that_is_no_budget_is_one_line(capsys, here):
    (here / "budgets.toml").write_text("[[budget]]\ntarget = 3\n")
    status, out, err = check(capsys)
    assert (status, out) == (2, "")
    assert err.startswith("error: budgets.toml: budget.0.target: ")
    assert len(err.splitlines()) == 1


def test_a_comment_says_what_is_broken_and_folds_away_what_holds(capsys, here):
    second = BUDGETS.replace('"net"', '"held"', 1).replace('"+0 %"', "96")
    (here / "budgets.toml").write_text(BUDGETS.replace('"+0 %"', "95") + second)
    status, out, _ = check(capsys, "--format", "github-markdown")
    assert status == 1
    before, fold, folded = out.partition("<details><summary>1 budget holds</summary>\n\n")
    assert before.startswith("### ❌ Model costs\n\n**1 of 6 limits is broken: net**\n\n#### net ·")
    assert "| macs | 96 | 95 |  | BROKEN |" in before
    assert "\n- macs is 96: 1 more than the 95 allowed" in before
    assert fold
    assert "#### held ·" in folded
    assert folded.endswith("\n\n</details>\n")


def test_a_comment_on_budgets_that_hold_is_short(capsys, here):
    fixed(here, 96)
    status, out, _ = check(capsys, "--format", "github-markdown")
    assert (status, out.splitlines()[0]) == (0, "### ✅ Model costs")
    assert out.index("<details>") < out.index("#### net")


def test_a_comment_is_no_longer_than_github_takes(capsys, here):
    many = "".join(BUDGETS.replace('"net"', f'"net{i}"', 1).replace('"+0 %"', "95") for i in range(400))
    (here / "budgets.toml").write_text(many)
    _, out, _ = check(capsys, "--format", "github-markdown")
    assert 60_000 < len(out) < 65_536
    assert out.endswith("\n\n…\n")


def test_a_model_that_cannot_be_built_is_in_the_comment_and_in_the_csv(capsys, here):
    (here / "budgets.toml").write_text(BUDGETS.replace("nets.py:net", "nets.py:none"))
    _, out, _ = check(capsys, "--format", "github-markdown")
    assert "\n#### net\n\nnot checked: " in out
    assert ",False," in check(capsys, "--format", "csv").out.splitlines()[1]
