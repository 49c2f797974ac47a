"""Files for other programs: speedscope, Perfetto, and an SVG image."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import torch
from torch import nn

import profiler
from profiler.devices import find_device
from profiler.projection import project
from profiler.report import render

SCHEMAS = Path(__file__).parent / "schemas"


def counted() -> profiler.Profile:
    block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(block, block), nn.Flatten(), nn.Linear(8 * 30 * 30, 10))
    return profiler.count(model.to("meta"), torch.empty(1, 3, 32, 32, device="meta"))


@pytest.fixture(scope="module", params=["counted", "projected"])
def profile(request) -> profiler.Profile:
    p = counted()
    return replace(p, projection=project(p, find_device("l4"))) if request.param == "projected" else p


def schema(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))


def test_speedscope_reads_the_flame_graph(profile):
    document = json.loads(render(profile, "speedscope", title="net"))
    jsonschema.validate(document, schema("speedscope"))
    by_name = {p["name"]: p for p in document["profiles"]}
    totals = profile.totals
    assert by_name["MACs"]["endValue"] == sum(by_name["MACs"]["weights"]) == totals.macs
    assert by_name["bytes moved"]["endValue"] == totals.bytes_read + totals.bytes_written
    assert ("estimated time" in by_name) == (profile.projection is not None)
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    stacks = {tuple(frames[i] for i in sample) for sample in by_name["MACs"]["samples"]}
    assert ("Sequential", "1 (Sequential)", "1.0 (Sequential)", "1.0.0 (Conv2d)", "aten.convolution") in stacks


def test_perfetto_reads_the_trace(profile):
    document = json.loads(render(profile, "perfetto", title="net"))
    jsonschema.validate(document, schema("trace_events"))
    events = document["traceEvents"]
    operators = [e for e in events if e["ph"] == "X" and "flops" in e["args"]]
    assert sum(e["args"]["macs"] for e in operators) == profile.totals.macs
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-6 for a, b in pairwise(operators))
    last = operators[-1]["ts"] + operators[-1]["dur"]
    if profile.projection is None:
        assert last == pytest.approx(profile.totals.flops / 1e6, abs=0.01)
        assert "not time" in events[0]["args"]["name"]
    else:
        assert last == pytest.approx(sum(r.estimate_s for r in profile.projection.operators) * 1e6, abs=0.01)
        assert events[0]["args"]["name"] == "net: estimated time on l4"


def test_the_slices_of_a_trace_nest(profile):
    events = json.loads(render(profile, "perfetto"))["traceEvents"]
    spans = sorted((round(e["ts"] * 1000), -round(e["dur"] * 1000)) for e in events if e["ph"] == "X")
    opened: list[int] = []
    for start, negative in spans:
        while opened and opened[-1] <= start:
            opened.pop()
        assert not opened or start - negative <= opened[-1]
        opened.append(start - negative)
    names = [e["name"] for e in events if e["ph"] == "X" and not e["args"]]
    assert names.count("1.0.0") == 2, "what is called twice has two slices"


def test_the_memory_counter_ends_before_the_trace_and_has_its_peak(profile):
    events = json.loads(render(profile, "perfetto"))["traceEvents"]
    counters = [e for e in events if e["ph"] == "C"]
    assert max(sum(e["args"].values()) for e in counters) == profile.memory.peak.total
    times = [e["ts"] for e in counters]
    assert times == sorted(times)
    end = max(e["ts"] + e["dur"] for e in events if e["ph"] == "X")
    assert round(1000 * times[-1]) <= round(1000 * end), "in whole nanoseconds: sums of decimals are not exact"
    assert len(set(times)) > 3


def boxes(text: str) -> list[tuple[float, float, float, str]]:
    space = "{http://www.w3.org/2000/svg}"
    rects = [r for r in ET.fromstring(text).iter(f"{space}rect") if r.get("class") != "page"]  # noqa: S314 - our own
    return [(float(r.get("x")), float(r.get("y")), float(r.get("width")), r.find(f"{space}title").text) for r in rects]


def test_the_boxes_of_the_image_are_as_wide_as_their_share(profile):
    found = boxes(render(profile, "svg", title="net"))
    _, top, whole, title = found[0]
    assert title.startswith("Sequential: ")
    children = [box for box in found if box[1] == top + 26]
    first, second = profile.nodes["0"].total.flops, profile.nodes["1"].total.flops
    assert children[0][2] / whole == pytest.approx(first / profile.totals.flops, abs=2e-3)
    assert children[1][2] / whole == pytest.approx(second / profile.totals.flops, abs=2e-3)
    assert children[1][0] == pytest.approx(children[0][0] + children[0][2] + 1, abs=0.02)


def test_an_image_of_a_model_without_work_shows_its_parameters():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 12)

        def forward(self, x):
            return x

    text = render(profiler.count(Holder(), torch.ones(1)), "svg")
    assert "share of the parameters" in text
    assert len(boxes(text)) == 3


def test_names_in_the_image_are_text():
    model = nn.Sequential()
    model.add_module("<b>&'\"", nn.Linear(4, 4))
    assert any(
        title.startswith("<b>&'\" Linear")
        for *_, title in boxes(render(profiler.count(model, torch.ones(1, 4)), "svg"))
    )
