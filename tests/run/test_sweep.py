"""Sweeps: which points there are, that each has its own process and limits, and that nothing is lost."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict

import pytest
from cli.command import run

from profiler.errors import InputError, UnknownNameError
from profiler.report.sweep_table import COLUMNS, summary, sweep_csv
from profiler.run.sweep import run_sweep
from profiler.run.sweep_journal import SweepJournal
from profiler.run.sweep_points import SweepPoint, matching_targets, sweep_points
from profiler.run.sweep_process import Limits, run_point
from profiler.util.permissions import permissions

NETS = """
import os, time
from torch import nn

def net():
    return nn.Linear(8, 4, bias=False)

def broken():
    raise RuntimeError("no such layer")

def crashing():
    os.abort()

def endless():
    time.sleep(10_000)
"""
GRANTED = asdict(permissions())


@pytest.fixture
def nets(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def test_every_combination_is_a_point_in_the_order_of_the_models():
    points = sweep_points(["resnet18", "alexnet", "resnet18"], batches=(1, 8), inputs=("64", "128"))
    assert [(p.target, p.batch, p.input) for p in points] == [
        (name, batch, size) for name in ("resnet18", "alexnet") for batch in (1, 8) for size in ("64", "128")
    ]


def test_patterns_name_the_models_of_a_source():
    assert matching_targets("torchvision:resnet[15]*") == ["resnet101", "resnet152", "resnet18", "resnet50"]
    with pytest.raises(InputError, match="no model matches 'torchvision:nosuch"):
        matching_targets("torchvision:nosuch*")
    with pytest.raises(UnknownNameError):
        matching_targets("resnet19")


def test_too_many_combinations_are_refused_before_they_are_made():
    with pytest.raises(InputError, match="has 1000000 combinations"):
        sweep_points(["resnet18"], batches=range(1000), inputs=[str(n) for n in range(1000)])


def test_a_point_is_counted_failed_or_crashed_and_the_sweep_goes_on(nets, tmp_path, capsys):
    out = tmp_path / "out.csv"
    names = [f"{nets}:{name}" for name in ("net", "broken", "crashing")]
    status, printed, err = run(capsys, "sweep", *names, "--input", "8", "--batch", "3", "-o", str(out), "--jobs", "1")
    assert (status, printed) == (0, "")
    assert "3 rows in" in err
    assert "1 ok, 1 failed, 1 crashed" in err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "failed", "crashed"]
    assert (rows[0]["macs"], rows[0]["params"], rows[0]["error"]) == (str(3 * 8 * 4), "32", "")
    assert "no such layer" in rows[1]["error"]
    assert rows[2]["macs"] == ""
    assert not SweepJournal(out).path.exists()


def test_a_point_that_takes_too_long_is_a_row(nets):
    row = run_point(SweepPoint(f"{nets}:endless"), Limits(timeout_s=0.5), GRANTED)
    assert (row["status"], row["error"]) == ("timeout", "no result within 0.5 s")


def test_rows_that_are_done_are_not_counted_again(tmp_path):
    journal = SweepJournal(tmp_path / "out.csv")
    points = (SweepPoint("a", 1), SweepPoint("b", 1))
    for point in points:
        journal.add(asdict(point) | {"status": "ok", "error": "", "macs": 7})
    journal.add(asdict(SweepPoint("of another sweep")) | {"status": "ok", "error": ""})
    calls = []
    rows = run_sweep(points, Limits(), journal, on_row=lambda *done: calls.append(done))
    assert [row["target"] for row in rows] == ["a", "b"]
    assert calls == [(2, 2)]


@pytest.mark.parametrize("line", ['{"target": "alexn', "[" * 10**5, '{"target": ' + "9" * 5000 + "}", "7"])
def test_a_half_written_or_odd_row_is_refused_and_nothing_is_lost(tmp_path, capsys, line):
    out = tmp_path / "out.csv"
    journal = SweepJournal(out)
    journal.add(asdict(SweepPoint("resnet18")) | {"status": "ok", "error": ""})
    with journal.path.open("a") as file:
        file.write(line)
    before = journal.path.read_text()
    status, printed, err = run(capsys, "sweep", "resnet18", "--output", str(out), "--quiet")
    assert (status, printed) == (2, "")
    assert "line 2, is no whole row of a sweep; remove that line" in err
    assert err.count("\n") == 1
    assert journal.path.read_text() == before
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnet18", "-o", "out.csv", "-o", "out.txt"], "let its name end in .csv, .parquet or .html"),
        (["resnet18", "-o", "out.csv", "--batch", "1,x"], "the batch size 'x' is no positive integer"),
        (["resnet18", "-o", "out.csv", "--batch", "0"], "the batch size '0' is no positive integer"),
        (["resnet18", "-o", "out.csv", "--optimizer", "sgd"], "add --train"),
        (["resnet18", "-o", "out.csv", "--timeout", "0"], "must be above 0"),
        (["resnet18", "-o", "out.csv", "--input", "[/]"], "cannot read the input '[/]'"),
        (["resnet18", "-o", "out.csv", "--input", "64,3x0x64"], "the input '3x0x64' has a dimension of 0"),
        (["resnet18", "-o", "out.csv", "--input", "3x64x64:float33"], "no dtype named 'float33'"),
        (["resnet18", "-o", "out.csv", "--dtype", "float32,int8"], "'int8' is not a floating-point dtype"),
        (["resnet18", "-o", "out.csv", "--train", "--optimizer", "adamx"], "no optimizer named 'adamx'"),
        (["resnet18", "-o", "out.csv", "--train", "--optimizer", "lbfgs"], "evaluates the model several times"),
        (["resnet19", "-o", "out.csv"], "no torchvision model named 'resnet19'"),
        (["nosuch:*", "-o", "out.csv"], "no source of models named 'nosuch'"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "sweep", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_where_memory_cannot_be_limited_a_limit_is_refused_as_on_windows(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    status, out, err = run(capsys, "sweep", "resnet18", "-o", str(tmp_path / "s.csv"), "--memory", "4", "--quiet")
    assert (status, out) == (2, "")
    assert "this system cannot limit the memory of a process; leave --memory out" in err


def test_the_table_has_a_column_for_each_figure_and_leaves_unknown_ones_empty():
    rows = [asdict(SweepPoint("=a", 2)) | {"status": "failed", "error": "x"}]
    table = list(csv.reader(sweep_csv(rows).splitlines()))
    assert tuple(table[0]) == COLUMNS
    assert table[1][:7] == ["'=a", "2", "", "", "", "failed", "x"]
    assert set(table[1][7:]) == {""}
    assert summary(rows) == "1 failed"


def test_a_parquet_file_has_the_same_rows():
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    from profiler.report.sweep_table import sweep_parquet

    rows = [asdict(SweepPoint("a", 2)) | {"status": "ok", "error": "", "macs": 2**40}]
    table = parquet.read_table(pa.BufferReader(sweep_parquet(rows))).to_pylist()
    assert (table[0]["target"], table[0]["batch"], table[0]["macs"], table[0]["input"]) == ("a", 2, 2**40, None)


def test_a_cluster_that_does_not_answer_is_named_within_the_limit(tmp_path, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("profiler.run.sweep._CONNECT_S", 1)
    words = ["sweep", "resnet18", "-o", str(tmp_path / "out.csv"), "--cluster", "tcp://127.0.0.1:1", "--quiet"]
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert "no Dask cluster with a worker at tcp://127.0.0.1:1" in err


def test_the_journal_is_lines_of_json(tmp_path):
    journal = SweepJournal(tmp_path / "out.csv")
    journal.add({"target": "a", "status": "ok"})
    assert [json.loads(line) for line in journal.path.read_text().splitlines()] == [{"target": "a", "status": "ok"}]
