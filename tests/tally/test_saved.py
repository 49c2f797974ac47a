"""A profile outlives its process, and a file that is not one says so."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import OutputError, SavedProfileError
from profiler.tally.saved import from_json, to_json
from profiler.tally.schema import PUBLISHED, json_schema, schema_text


@pytest.fixture(scope="module")
def p() -> profiler.Profile:
    mask = torch.ones(4, 4).tril().bool()
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    return profiler.count(net, torch.ones(1, 4, 8), src_mask=mask)


def test_a_profile_equals_its_reloaded_self(p, tmp_path):
    p.save(tmp_path / "a.json")
    assert profiler.load(tmp_path / "a.json") == p


def test_an_infinite_argument_is_a_text_in_the_file_and_a_number_again(tmp_path):
    with profiler.profile() as p:
        torch.linalg.vector_norm(torch.ones(3), -torch.inf)
    p.save(tmp_path / "a.json")
    saved = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert [row["arguments"].get("ord") for row in saved["records"]] == [None, "-Infinity"]
    assert profiler.load(tmp_path / "a.json") == p.result


def test_the_same_run_writes_the_same_bytes():
    net = nn.Linear(4, 4)
    first, second = (to_json(profiler.count(net, torch.ones(1, 4))) for _ in range(2))
    assert first == second


def test_the_json_has_the_names_of_the_convention(p):
    document = json.loads(to_json(p))
    assert document["schema"] == "profiler/1"
    assert document["totals"]["macs"] == p.totals.macs
    assert document["totals"]["flops"] == p.totals.flops
    assert document["phases"]["forward"]["macs"] == p.totals.macs
    assert document["uncounted"] == []
    assert {"path", "type", "calls", "self", "total"} <= set(document["modules"][0])
    assert document["versions"]["torch"] == torch.__version__


def test_the_published_schema_describes_the_file(p):
    schema = json_schema()
    assert set(json.loads(to_json(p))) <= set(schema["properties"])
    assert schema["properties"]["schema"]["const"] == "profiler/1"


def test_the_schema_in_the_package_is_the_current_one():
    """Written by: python -c "from profiler.tally.schema import *; PUBLISHED.write_text(schema_text())"."""
    assert PUBLISHED.read_text(encoding="utf-8") == schema_text()


def edited(p, change) -> str:
    document = json.loads(to_json(p))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^the text is not JSON, or was cut short"),
        ('{"schema": "profiler/1", "mod', r"^the text is not JSON, or was cut short"),
        ("[1, 2]", r"^the text is not a saved profile: it has no schema, and this version reads 'profiler/1'$"),
        ('{"schema": "profiler/0"}', r"it has schema 'profiler/0', and this version reads 'profiler/1'$"),
        ('{"schema": "profiler/1"}', r"^the text is not a complete profile: model: Field required$"),
    ],
)
def test_a_foreign_or_broken_text_is_one_line(text, message):
    with pytest.raises(SavedProfileError, match=message) as caught:
        from_json(text)
    assert "\n" not in str(caught.value)


def test_an_edited_total_is_refused(p):
    with pytest.raises(SavedProfileError, match="was changed after it was saved"):
        from_json(edited(p, lambda d: d["totals"].update(macs=1)))


def test_a_number_of_another_type_is_refused(p):
    with pytest.raises(SavedProfileError, match=r"totals\.macs"):
        from_json(edited(p, lambda d: d["totals"].update(macs="many")))


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(SavedProfileError, match=r"^cannot read .*none\.json: No such file or directory; give a file"):
        profiler.load(tmp_path / "none.json")


def test_a_file_that_is_not_text_is_one_line(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SavedProfileError, match="it is not text"):
        profiler.load(tmp_path / "x.json")


def test_a_folder_that_is_missing_loses_nothing(p, tmp_path):
    with pytest.raises(OutputError, match=r"^cannot write .*: No such file or directory; choose a folder"):
        p.save(tmp_path / "none" / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_leave_a_whole_file(p, tmp_path):
    path = tmp_path / "a.json"
    threads = [threading.Thread(target=p.save, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert profiler.load(path) == p
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]
