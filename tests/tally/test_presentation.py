"""What a user sees of a profile without asking: one line, completion, types, and the nearest names."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.tally.delegate import ProfileProperties


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).eval()


def counted():
    return profiler.count(net(), torch.zeros(2, 3, 8, 8))


def ran():
    model = net()
    with profiler.profile(model) as p, torch.no_grad():
        model(torch.zeros(2, 3, 8, 8))
    return p


def public(value):
    return {name for name in dir(value) if not name.startswith("_")}


def test_the_context_manager_has_every_attribute_of_its_profile():
    p = ran()
    assert public(profiler.Profile) | set(profiler.Profile.__dataclass_fields__) <= public(p)


def test_the_context_manager_reads_what_its_profile_holds():
    p = ran()
    names = public(p.result) - {"compare", "against", "result"}
    values = {name: getattr(p.result, name) for name in names}
    assert {name: getattr(p, name) for name in names if not callable(values[name])} == {
        name: value for name, value in values.items() if not callable(value)
    }


@pytest.mark.parametrize("make", [counted, ran])
def test_macs_flops_and_params_are_those_of_the_totals(make):
    p = make()
    macs = 2 * (8 * 36 * 27) + 2 * (288 * 10)
    assert (p.macs, p.params) == (macs, 8 * 27 + 8 + 288 * 10 + 10)
    assert p.flops == p.totals.flops > 2 * macs


@pytest.mark.parametrize("make", [counted, ran])
def test_repr_is_one_short_line_with_the_model_and_the_totals(make):
    text = repr(make())
    assert "\n" not in text
    assert len(text) < 200
    assert text.startswith(f"<{type(make()).__name__} of Sequential · ")
    assert "21.31 kMAC" in text


def test_repr_of_a_running_profile_says_that_it_runs():
    model = net()
    with profiler.profile(model) as p:
        model(torch.zeros(2, 3, 8, 8))
        assert repr(p) == "<profile of Sequential: running>"
    with profiler.profile() as p:
        assert repr(p) == "<profile of operators: running>"


def test_repr_of_a_profile_that_never_ran_counts_nothing():
    assert "0 MAC" in repr(profiler.profile(net()))


def test_repr_shows_names_from_outside_in_one_line():
    odd = type("Net\n\x1b[31m" + "x" * 1000, (nn.Linear,), {})(2, 2)
    text = repr(profiler.count(odd, torch.zeros(1, 2)))
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 300


def test_a_misspelt_attribute_is_an_attribute_error_at_once():
    with pytest.raises(AttributeError, match="totls"):
        ran().totls  # noqa: B018 - reading it is the test


def test_an_unknown_module_is_answered_with_the_nearest_names():
    model = nn.ModuleDict({"layer1": nn.Linear(2, 2), "head": nn.Sequential(nn.Linear(2, 2))})
    with profiler.profile(model) as p:
        model["layer1"](torch.zeros(1, 2))
    with pytest.raises(KeyError) as caught:
        p.nodes["layer9"]
    assert str(caught.value) == "no module named 'layer9'; did you mean 'layer1'?"
    with pytest.raises(ProfilerError, match=r"did you mean 'head\.0'"):
        p.nodes["0"]
    assert p.nodes.get("layer9") is None


def test_an_unknown_phase_is_answered_with_the_nearest_names():
    with pytest.raises(KeyError) as caught:
        ran().phases["backwards"]
    assert str(caught.value) == "no phase named 'backwards'; did you mean 'backward'?"


def test_the_tables_can_be_pickled():
    nodes = counted().nodes
    again = pickle.loads(pickle.dumps(nodes))
    assert again == nodes
    with pytest.raises(KeyError, match="no module named"):
        again["layer9"]


def test_a_type_checker_sees_the_type_of_every_property():
    properties = [value for value in vars(ProfileProperties).values() if isinstance(value, property)]
    assert len(properties) > 20
    assert all(value.fget.__annotations__["return"] not in {"Any", "object"} for value in properties)
    assert not hasattr(profiler.profile, "__getattr__")
    assert (Path(profiler.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("make", [counted, ran])
def test_a_dictionary_holds_what_is_saved(make, tmp_path):
    p = make()
    p.save(tmp_path / "p.json")
    assert p.to_dict() == json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("make", [counted, ran])
@pytest.mark.parametrize("level", ["modules", "operators", "entries"])
def test_the_tables_of_pandas_sum_to_the_totals(make, level):
    pytest.importorskip("pandas")
    p = make()
    table = p.to_pandas(level)
    column = "self_macs" if level == "modules" else "macs"
    assert table[column].sum() == p.macs
    if level == "modules":
        assert table.set_index("path").loc["", "total_flops"] == p.flops


@pytest.mark.parametrize("make", [counted, ran])
@pytest.mark.parametrize(("level", "column"), [("modules", "self"), ("operators", ""), ("entries", "")])
def test_the_rows_that_pandas_is_given_sum_to_the_totals(make, level, column, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
    p = make()
    rows = p.to_pandas(level)
    for name in ("macs", "other_flops", "bytes_read"):
        assert sum(row[f"{column}_{name}".lstrip("_")] for row in rows) == getattr(p.totals, name)
    if level == "modules":
        root = {row["path"]: row for row in rows}[""]
        assert (root["self_macs"], root["total_macs"], root["total_params"]) == (0, p.macs, p.params)


def test_another_level_is_refused():
    with pytest.raises(ProfilerError, match="no table of 'layers'"):
        counted().to_pandas("layers")


def test_a_notebook_shows_the_report_escaped_and_short():
    model = nn.Sequential()
    model.add_module("<script>", nn.Linear(4, 4))
    shown = profiler.count(model, torch.zeros(1, 4))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    deep = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4)) for _ in range(2000)))
    assert len(profiler.count(deep, torch.zeros(1, 4))._repr_html_()) < 100_000


def test_markdown_is_that_of_the_report():
    p = counted()
    assert p.to_markdown(depth=1).startswith("# Sequential")


def test_a_profile_is_projected_onto_a_device_by_name():
    p = ran()
    assert profiler.project(p, "l4", fps=30) == profiler.project(p.result, "l4", fps=30)


@pytest.mark.parametrize("make", [counted, ran])
def test_the_page_of_a_profile_is_written_from_python(make, tmp_path):
    p = make()
    p.write_html(tmp_path / "page.html", title="<net>")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page == p.to_html(title="<net>")
    assert "<h1>&lt;net&gt;</h1>" in page
    assert "<h1>Sequential</h1>" in p.to_html()
    with pytest.raises(ProfilerError, match="cannot write"):
        p.write_html(tmp_path / "no such folder" / "page.html")


def test_the_page_of_a_comparison_is_written_from_python(tmp_path):
    comparison = profiler.compare({"a": counted(), "b": counted()})
    comparison.write_html(str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").read_text("utf-8") == comparison.to_html()
