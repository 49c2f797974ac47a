"""Several results as one page or one picture: models, devices, and the rows of a sweep."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from html import unescape
from xml.etree import ElementTree as ET

import pytest
import torch
from cli.command import run
from torch import nn

import profiler
from profiler.devices import find_device
from profiler.projection.ranking import rank
from profiler.report.comparisons import COMPARISON_FORMATS
from profiler.report.rankings import RANKING_FORMATS, RankingReport
from profiler.report.scatter import Axis, Scatter, best_of_both
from profiler.report.scatter_svg import scatter_svg
from profiler.report.sweep_page import sweep_page
from profiler.run.sweep_journal import SweepJournal
from profiler.run.sweep_points import SweepPoint

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</script><script>alert(1)</script>\u202e\x1b[31m" + "x" * 5000
DEVICES = ("l4", "t4", "jetson-agx-orin-64gb", "a100-pcie-40gb")


def linear(width: int) -> profiler.Profile:
    return profiler.count(nn.Linear(64, width, device="meta"), torch.empty(8, 64, device="meta"))


def ranking(target: str = "net", fps: float | None = 30.0) -> RankingReport:
    profile = linear(4096)
    ranked = rank(profile, map(find_device, DEVICES), precision="fp16", fps=fps)
    return RankingReport(ranked, target, "fp16", fps, None, profile)


def points(page: str) -> dict:
    return json.loads(re.search(r'id="scatter">(.*?)</script>', page, re.DOTALL)[1])


def tabs(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'<button [^>]*role="tab"[^>]*>([^<]*)<', page)]


def test_a_ranking_is_points_of_rate_against_power_and_a_tab_for_the_first_devices():
    report = ranking()
    page = RANKING_FORMATS.render(report, "html")
    data = points(page)
    across, up = (data["axes"][i] for i in data["drawn"])
    rows = report.ranking.rows
    assert data["names"] == [row.device.id for row in rows]
    assert across["values"] == [find_device(row.device.id).power_w for row in rows]
    assert up["values"] == [pytest.approx(1 / row.projection.estimate_s.value) for row in rows]
    assert data["line"][1] == 30
    assert tabs(page) == ["Devices", *data["names"]]
    assert dict(zip(data["names"], data["groups"], strict=True)) == {
        "l4": "datacenter", "t4": "datacenter", "jetson-agx-orin-64gb": "edge", "a100-pcie-40gb": "datacenter",
    }  # fmt: skip


def test_models_are_compared_by_macs_and_parameters_and_one_that_fails_has_no_tab():
    models = {"narrow": linear(10), "broken": (nn.Linear(4, 4), (torch.ones(1, 5),)), "wide": linear(100)}
    comparison = profiler.compare(models, on=["l4"])
    page = COMPARISON_FORMATS.render(comparison, "html")
    data = points(page)
    across, up = (data["axes"][i] for i in data["drawn"])
    assert (across["label"], across["values"]) == ("MACs", [8 * 64 * 10, None, 8 * 64 * 100])
    assert (up["label"], up["values"]) == ("params", [65 * 10, None, 65 * 100])
    assert tabs(page) == ["Comparison", "narrow", "wide"]
    assert "broken: " in unescape(page)
    assert "<strong>5.120 k</strong>" in page, "fewer MACs are better"


def test_accuracies_are_compared_where_they_are_known(capsys, tmp_path):
    path = tmp_path / "page.html"
    words = ("compare", "squeezenet1_1", "squeezenet1_0", "--quiet", "--format", "html", "--output", str(path))
    assert run(capsys, *words)[0] == 0
    data = points(path.read_text("utf-8"))
    assert data["axes"][data["drawn"][1]]["label"] == "accuracy %"


def test_a_sweep_is_points_and_a_failure_is_a_row_without_one():
    figures = {"macs": 1000, "flops": 2100, "params": 10, "peak_memory": 400}
    settings = {"input": None, "dtype": None, "optimizer": None}
    rows = [
        {"target": "a", "batch": 1, "status": "ok", "error": "", **settings, **figures},
        {"target": "a", "batch": 8, "status": "ok", "error": "", **settings, **figures, "macs": 8000},
        {"target": HOSTILE, "batch": 1, "status": "failed", "error": "raised <b>", **settings},
    ]
    page = sweep_page(rows)
    data = points(page)
    assert data["names"] == ["a · 1", "a · 8"]
    assert data["groups"] == ["batch 1", "batch 8"]
    assert data["axes"][data["drawn"][1]]["values"] == [1000, 8000]
    assert "3 combinations: 2 ok, 1 failed." in page
    assert "raised &lt;b&gt;" in page
    assert "<script>alert" not in page


def test_a_sweep_writes_a_page_beside_its_table(capsys, tmp_path):
    table, page = tmp_path / "t.csv", tmp_path / "t.html"
    for batch in (1, 2):
        row = asdict(SweepPoint("resnet18", batch)) | {"status": "ok", "error": "", "macs": batch, "params": 5}
        SweepJournal(table).add(row)
    words = ("sweep", "resnet18", "--batch", "1,2", "-o", str(table), "-o", str(page))
    status, _, err = run(capsys, *words)
    assert (status, err) == (0, f"note: 2 rows in {table}, {page}: 2 ok\n")
    assert len(table.read_text().splitlines()) == 3
    assert points(page.read_text("utf-8"))["axes"][0]["values"] == [1, 2]


@pytest.mark.parametrize("form", ["html", "svg"])
def test_names_from_outside_are_text(form):
    comparison = profiler.compare({HOSTILE: linear(10), "b": linear(20)})
    for text in (COMPARISON_FORMATS.render(comparison, form), RANKING_FORMATS.render(ranking(HOSTILE), form)):
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        if form == "svg":
            ET.fromstring(text)  # noqa: S314 - our own


@pytest.mark.parametrize("form", COMPARISON_FORMATS.names())
def test_every_format_says_that_no_model_could_be_counted(capsys, tmp_path, form):
    (tmp_path / "nets.py").write_text("def net(): raise KeyError('no')\n")
    status, out, err = run(capsys, "compare", f"{tmp_path}/nets.py:net", "--format", form)
    assert (status, err.splitlines()) == (1, ["error: none of 1 models could be counted"])
    assert out


def texts(image: str) -> set[str]:
    return {text.text for text in ET.fromstring(image).iter(f"{SVG}text")}  # noqa: S314 - our own


def marks(image: str) -> list[tuple[float, float, str]]:
    """Return the place and the colour inside of each point of an image, from the left to the right."""
    axes = next(g for g in ET.fromstring(image).iter(f"{SVG}g") if g.get("id") == "axes_1")  # noqa: S314 - our own
    groups = [group for group in axes.findall(f"{SVG}g") if group.get("id").startswith("PathCollection")]
    points = [use for group in groups for use in group.iter(f"{SVG}use")]
    fills = [re.search(r"fill: (#\w+)", point.get("style"))[1] for point in points]
    return sorted((float(p.get("x")), float(p.get("y")), fill) for p, fill in zip(points, fills, strict=True))


def test_the_image_places_points_on_logarithmic_axes():
    x = Axis("power", "plain", (1.0, 10.0, 100.0, None), "W", better=-1)
    y = Axis("rate", "count", (5, 50, 5000, 5), better=1)
    image = scatter_svg(Scatter(("a", "b", "c", "d"), (x, y), "power", "rate"), "t")
    places = marks(image)
    assert len(places) == 3, "a point without a figure is not drawn"
    (x0, y0, _), (x1, y1, _), (x2, y2, _) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert (y2 - y1) == pytest.approx(2 * (y1 - y0), abs=0.3)
    assert y0 > y1 > y2
    assert {"power", "rate", "a", "b", "c", "1 W", "10 W", "100 W"} <= texts(image)


def test_equal_points_are_an_equal_image_and_words_are_no_formulas():
    axis = Axis("a", "plain", (1.0, 2.0), better=1)
    first, second = (scatter_svg(Scatter(("$x$", "模型"), (axis, axis), "a", "a"), "$\\frac{") for _ in range(2))
    assert first == second
    assert {"$x$", "模型", "$\\frac{"} <= texts(first)


def test_names_do_not_cover_each_other():
    axis = Axis("a", "plain", (*(1 + i / 1000 for i in range(20)), 2.0))
    names = (*(f"device-{i}" for i in range(20)), "far")
    named = texts(scatter_svg(Scatter(names, (axis, axis), "a", "a"), "")) & {*names}
    assert {"far", "device-0"} <= named
    assert len(named) < 8


def test_a_ranking_is_an_image(capsys):
    words = ("rank", "squeezenet1_1", "--on", ",".join(DEVICES), "--fps", "1e6", "--quiet", "--format", "svg")
    status, image, _ = run(capsys, *words)
    assert status == 0
    assert set(DEVICES) <= texts(image)
    assert [fill for *_, fill in marks(image)] == ["#ffffff"] * len(DEVICES), "none holds the rate"


@pytest.mark.parametrize("values", [(), (3.0,), (math.e, math.pi), (7.0, 7.0)])
def test_any_number_of_points_is_an_image(values):
    axis = Axis("a", "plain", values, better=1)
    assert len(marks(scatter_svg(Scatter(tuple("xyz"[: len(values)]), (axis, axis), "a", "a"), ""))) == len(values)


@pytest.mark.parametrize(("right", "up"), [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_best_of_both_are_those_that_no_point_beats(right, up):
    places = [(i * 7 % 11, i * 5 % 13) for i in range(20)]
    x = Axis("x", "plain", tuple(float(a) for a, _ in places), better=right)
    y = Axis("y", "plain", tuple(float(b) for _, b in places), better=up)
    beaten = {
        i
        for i, (a, b) in enumerate(places)
        for c, d in places
        if right * c >= right * a and up * d >= up * b and (c, d) != (a, b)
    }
    assert sorted(i for i, *_ in best_of_both(x, y)) == sorted(set(range(20)) - beaten)
