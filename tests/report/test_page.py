"""What the browser's page is made of: the folded modules, the policy, and text from outside in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler.cli import main
from profiler.devices import find_device
from profiler.projection import project
from profiler.report import Report, render
from profiler.report.page.data import page_data
from profiler.report.page.first_icicle import first_icicle
from profiler.report.page.render import SCRIPTS, compiled_at_once

FOLDER = Path(profiler.__file__).parent / "report" / "page" / "scripts"
TYPE, OUTPUT, CALLS, OWN, TOTAL, EDGES, INPUT = range(7)


def stack(blocks: int, width: int = 8) -> nn.Module:
    return nn.Sequential(*(nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(blocks)))


def profile_of(model: nn.Module, *shape: int) -> profiler.Profile:
    return profiler.count(model.to("meta"), torch.empty(*shape, device="meta"))


def data_of(profile: profiler.Profile) -> dict:
    return page_data(Report(profile, profile.model, 2))


def unfolded(data: dict, key: str) -> dict[str, int]:
    """Follow every path of the graph; return the amount of a measure with all submodules."""
    column = [measure["key"] for measure in data["measures"]].index(key)
    found, pending = {}, [("", len(data["nodes"]) - 1)]
    while pending:
        path, number = pending.pop()
        found[path] = int(data["nodes"][number][TOTAL][column])
        for first, _, count, child in data["nodes"][number][EDGES]:
            stem = re.sub(r"\d+$", "", first)
            names = [f"{stem}{int(first[len(stem) :]) + i}" for i in range(count)] if count > 1 else [first]
            pending += [(f"{path}.{name}".lstrip("."), child) for name in names]
    return found


@pytest.mark.parametrize("key", ["macs", "flops", "params"])
def test_every_module_can_be_reached_and_has_its_amount(key):
    profile = profile_of(nn.ModuleDict({"a": stack(3), "b": stack(12)})["b"], 2, 8)
    assert unfolded(data_of(profile), key) == {p: getattr(n.total, key) for p, n in profile.nodes.items()}


def test_equal_blocks_occur_once_however_many_there_are():
    few, many = (data_of(profile_of(stack(blocks), 2, 8)) for blocks in (3, 120))
    assert len(few["nodes"]) == len(many["nodes"]) == 4  # the model, a block, a layer, an activation
    assert many["nodes"][-1][EDGES] == (("0", "119", 120, 2),)


def test_names_that_do_not_count_up_are_not_one_run():
    model = nn.Sequential()
    for name in ("0", "2", "01", "x1", "y2"):
        model.add_module(name, nn.Linear(8, 8))
    edges = data_of(profile_of(model, 2, 8))["nodes"][-1][EDGES]
    assert [edge[:3] for edge in edges] == [(name, name, 1) for name in ("0", "2", "01", "x1", "y2")]


def test_the_first_icicle_is_drawn_without_scripts_and_has_the_shares_of_the_modules():
    wide, narrow = nn.Linear(8, 24, bias=False), nn.Linear(24, 8, bias=False)
    profile = profile_of(nn.Sequential(nn.Sequential(wide, nn.ReLU(), narrow), nn.Linear(8, 16, bias=False)), 1, 8)
    page = render(profile, "html")
    picture = re.search(r'<svg class="first".*?\n</svg>', page, re.DOTALL)[0]
    boxes = re.findall(
        r'<svg x="([\d.]+)%" y="(\d+)" width="([\d.]+)%".*?(?:<text[^>]*>([^<]*)</text>)?</svg>', picture
    )
    places = {(int(y), name): (float(x), float(width)) for x, y, width, name in boxes}
    assert places == {
        (8, "Sequential"): (0, 100),
        (52, "0"): (0, 75),  # 2 × 192 of 512 MACs
        (52, "1"): (75, 25),
        (96, "0"): (0, 37.5),
        (96, "2"): (37.5, 37.5),
    }


def test_the_first_icicle_folds_equal_blocks():
    icicle = first_icicle(data_of(profile_of(stack(120), 2, 8)))
    assert [box.label for box in icicle.boxes] == ["Sequential", "0–119 ×120", "0"]
    assert [box.share for box in icicle.boxes] == [1, 1, 1]


def test_numbers_that_javascript_cannot_hold_are_text():
    data = data_of(profile_of(nn.Linear(2**20, 2**20, bias=False, device="meta"), 2**20, 2**20))
    macs = data["nodes"][-1][TOTAL][0]
    assert macs == str(2**60)


def test_the_seconds_of_the_modules_sum_to_those_of_the_operators():
    profile = profile_of(stack(3, 256), 64, 256)
    profile = replace(profile, projection=project(profile, find_device("l4")))
    data = data_of(profile)
    column = [measure["key"] for measure in data["measures"]].index("estimate_s")
    assert data["nodes"][-1][TOTAL][column] == pytest.approx(sum(r.estimate_s for r in profile.projection.operators))
    assert data["rooflines"][0]["precision"] == profile.projection.precision.value
    pairs = {(view["precision"], view["mode"]) for view in data["rooflines"]}
    assert len(pairs) == len(data["rooflines"])
    assert {mode for _, mode in pairs} == {"eager", "channels_last", "compiled", "deployed"}
    assert len({precision for precision, _ in pairs}) > 3


def test_a_profile_without_projection_has_no_time():
    data = data_of(profile_of(stack(1), 1, 8))
    assert "estimate_s" not in {measure["key"] for measure in data["measures"]}
    assert data["rooflines"] == []


def test_what_is_uncounted_is_at_the_top_and_every_total_is_a_bound():
    library = torch.library.Library("profiler_test_page", "DEF")
    library.define("mystery(Tensor x) -> Tensor")
    library.impl("mystery", lambda x: x + 1, "CompositeExplicitAutograd")
    with profiler.profile() as p:
        torch.ops.profiler_test_page.mystery(torch.ones(4, 4) @ torch.ones(4, 4))
    page = unescape(render(p.result, "html"))
    assert page.index("profiler_test_page.mystery") < page.index("Where it goes")
    assert "One forward pass takes ≥ 64 MAC (≥ 128 FLOP)" in page
    assert "Every operator is counted" not in page


@pytest.fixture(scope="module")
def page() -> str:
    return render(profile_of(stack(3), 2, 8), "html", title="</script><script>alert(1)</script>", command="python x")


def test_the_policy_allows_the_scripts_that_are_there_and_nothing_else(page):
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in rules["script-src"]
    assert len(rules["script-src"].split()) == 2  # the page's own and plotly's


def test_names_never_become_markup(page):
    assert "<script>alert" not in page
    assert page.count("<script") == 3
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert json.loads(data)[0]["heading"].startswith("</script><script>alert(1)")


def test_the_page_asks_for_no_other_file(page):
    document = page[: page.index('id="plotly"')]
    assert not re.findall(r"<(?:link|img|iframe|base)\b|\bsrc=|@import|url\(", document)
    assert len(page.encode()) < 2_500_000


def test_the_page_names_the_command_that_repeats_it(tmp_path, capsys):
    assert main(["resnet18", "--input", "3x64x64", "--format", "html", "--output", str(tmp_path / "a page.html")]) == 0
    page = unescape((tmp_path / "a page.html").read_text("utf-8"))
    assert f"python -m profiler resnet18 --input 3x64x64 --format html --output '{tmp_path}/a page.html'" in page


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_javascript(name, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node; the tests in the browser run the scripts too")
    module = tmp_path / f"{name}.mjs"
    module.write_text((FOLDER / f"{name}.js").read_text("utf-8"), "utf-8")
    subprocess.run([node, "--check", module], check=True)


def test_every_script_of_the_folder_is_in_the_page():
    assert sorted(SCRIPTS) == sorted(path.stem for path in FOLDER.glob("*.js"))


def test_a_plotly_of_another_shape_is_left_as_it_is():
    assert compiled_at_once("var Plotly = {};") == "var Plotly = {};"


def test_plotlys_script_is_compiled_at_once_in_the_page():
    plotly = Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"
    packed = re.search(r'id="plotly">([^<]*)</script>', render(profile_of(stack(1), 2, 8), "html"))[1]
    script = zlib.decompress(base64.b64decode(packed)).decode()
    assert script != plotly.read_text("utf-8")
    assert script.replace("(", "").replace(")", "") == plotly.read_text("utf-8").replace("(", "").replace(")", "")
