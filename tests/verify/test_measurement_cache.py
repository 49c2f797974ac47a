"""What ``profiler verify`` keeps between runs, seen from outside: which models run again, and what is printed."""

from __future__ import annotations

import json
import sys

import pytest

from profiler.cli import main
from profiler.documents import FOLDER
from profiler.errors import ModelError
from profiler.util import user_cache
from profiler.verify import measurement_cache, measurements

TEMPLATE = str(FOLDER / "template.toml")
CLAIM = """
[[claims]]
id = "mine"
says = "A layer has 12 parameters."
kind = "fact"
printed = "12"
unit = "parameter"
measures.ours = {{ target = "{target}", count = "params" }}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measurement_cache, "_key", lambda: "the key")
    return tmp_path / "cache" / "profiler" / "verify"


@pytest.fixture
def runs(monkeypatch):
    """Return the models that have run since the test began."""
    names, run = [], measurements.run_model

    def recorded(measure, point):
        names.append(measure.target)
        return run(measure, point)

    monkeypatch.setattr(measurements, "run_model", recorded)
    return names


def printed(capsys, *words):
    status = main(["verify", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_what_was_measured_is_not_measured_again(capsys, runs):
    first = printed(capsys, TEMPLATE)
    assert {"resnet18", "torch.nn:Linear"} <= set(runs)
    runs.clear()
    assert printed(capsys, TEMPLATE) == first
    assert runs == []


def test_no_cache_measures_again(capsys, runs):
    first = printed(capsys, TEMPLATE)
    once = [*runs]
    assert printed(capsys, TEMPLATE, "--no-cache") == first
    assert runs == 2 * once


def test_the_values_of_other_code_are_not_used(capsys, runs, monkeypatch):
    first = printed(capsys, TEMPLATE)
    once = [*runs]
    monkeypatch.setattr(measurement_cache, "_key", lambda: "another key")
    assert printed(capsys, TEMPLATE) == first
    assert runs == 2 * once


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[: len(text) // 2],
        lambda text: json.dumps({"key": json.loads(text)["key"], "result": [1, None]}),
        lambda text: text.replace('"numbers": {', '"numbers": {"x": "y", '),
        lambda _: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_measured_again_and_replaced(capsys, runs, folder, damage):
    first = printed(capsys, TEMPLATE)
    whole = {path: path.read_text() for path in folder.glob("*.json")}
    for path, text in whole.items():
        path.write_text(damage(text))
    runs.clear()
    assert printed(capsys, TEMPLATE) == first
    assert runs
    assert {path: path.read_text() for path in folder.glob("*.json")} == whole


def test_a_folder_that_cannot_be_written_changes_nothing(capsys, tmp_path, monkeypatch):
    first = printed(capsys, TEMPLATE, "--no-cache")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert printed(capsys, TEMPLATE) == first


def test_a_user_without_a_home_is_no_error(capsys, monkeypatch):
    first = printed(capsys, TEMPLATE, "--no-cache")

    def no_home():
        msg = "Could not determine home directory."
        raise RuntimeError(msg)

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(user_cache.Path, "home", no_home)
    assert printed(capsys, TEMPLATE) == first


@pytest.mark.parametrize("target", ["my.py:net", "my:net", "hf:config.json"])
def test_a_model_in_a_file_of_ones_own_is_always_measured(capsys, tmp_path, monkeypatch, folder, runs, target):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my", raising=False)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 1, "n_embd": 12}')
    (tmp_path / "my.py").write_text("from torch import nn\nnet = lambda: nn.Linear(3, 3)\n")
    (tmp_path / "mine.toml").write_text(CLAIM.format(target=target))
    assert printed(capsys, "mine.toml")[:2] == printed(capsys, "mine.toml")[:2]
    assert runs == [target] * 2
    assert not folder.exists()


def test_a_failure_is_not_kept(capsys, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text(CLAIM.format(target="resnet18"))

    def fails(*_):
        msg = "no memory"
        raise ModelError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(measurements, "run_model", fails)
        assert printed(capsys, str(tmp_path / "mine.toml"))[0] == 3
    assert printed(capsys, str(tmp_path / "mine.toml"))[0] == 1
