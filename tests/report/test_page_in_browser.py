"""The page in a real browser: what it says, what it does when it is used, and that it asks nothing of the network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from chromium import OpenPage, open_browser
from torch import nn

import profiler
from profiler import units
from profiler.devices import find_device
from profiler.guard import diff
from profiler.projection import project
from profiler.projection.ranking import rank
from profiler.report import Report, render
from profiler.report.page.render import render_page
from profiler.report.profile_differences import DIFF_FORMATS, DiffReport
from profiler.report.rankings import RANKING_FORMATS, RankingReport
from profiler.report.sweep_page import sweep_page
from profiler.tally import load
from profiler.values.findings import Cause, CauseKind, Claim, Contribution, Finding

pytestmark = pytest.mark.xdist_group("browser")
HOSTILE = ["<script>alert(1)</script>", "=cmd()", "[red]", "a<b>&amp;", "\u202egnp", "x" * 10_000]


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def small_profile() -> profiler.Profile:
    """Return a profile with everything that a page can show."""
    blocks = (nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()) for _ in range(4))
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Sequential(*blocks), nn.Flatten(), nn.LazyLinear(10))
    model(torch.zeros(1, 3, 32, 32))
    p = profiler.count(model.to("meta"), torch.empty(1, 3, 32, 32, device="meta"))
    causes = (
        Cause("FV-X", CauseKind.CONVENTION, "counts <b>something</b> twice", (Contribution("1.0.1", "aten.x", -900),)),
        Cause("FV-Y", CauseKind.BIAS, "leaves out biases", (Contribution("0", "aten.y", 300),)),
    )
    claimed = p.totals.macs + 600
    findings = (
        Finding(Claim("fvcore", "fvcore 1", "total", "MAC", claimed), p.totals.macs, causes),
        Finding(Claim("thop", "thop 1", "total", "MAC", p.totals.macs), p.totals.macs),
        Finding(Claim("ptflops", "ptflops 1", "total", "MAC", None, "it crashed"), p.totals.macs),
        Finding(Claim("paper", "", "total", "FLOP", Fraction(7, 2), id="claim-1"), p.totals.flops),
    )
    return replace(p, findings=findings, projection=project(p, find_device("l4")))


@pytest.fixture(scope="module")
def profile():
    return small_profile()


@pytest.fixture(scope="module")
def file(profile, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "small.html"
    path.write_text(render(profile, "html", title="small"), "utf-8")
    return path


#: Note how many rows the table had when plotly began.
WATCH = """
Object.defineProperty(window, 'Plotly', { configurable: true, set(value) {
  window.rowsBefore = document.querySelectorAll('.modules tbody tr').length;
  Object.defineProperty(window, 'Plotly', { value, writable: true });
} });
"""


@pytest.fixture(scope="module")
def opened(browser, file):
    page = OpenPage(browser, file, WATCH, permissions=["clipboard-read", "clipboard-write"])
    yield page
    page.close()


@pytest.fixture
def page(opened, file):
    """Return the opened page, as it was at first: loading it takes a second or more."""
    opened.page.evaluate("window.scrollTo(0, 0)")
    opened.part("measure").select_option(index=0)
    opened.part("search").fill("")
    opened.part("fold").check()
    opened.page.locator(".modules thead button").first.click()
    opened.part("icicle").focus()
    opened.page.keyboard.press("Home")
    yield opened
    assert opened.messages == []
    assert opened.requests == [file.as_uri()]


def test_it_opens_without_a_word_and_without_a_request(page, profile):
    assert page.page.title() == "small · profiler"
    assert page.rows()[0][:2] == ["Sequential", "Sequential"]
    assert [
        part for part in ("icicle", "roofline", "memory", "waterfall") if not page.drawn(part, "it.data.length")
    ] == []


def test_the_root_is_the_total_of_the_profile(page, profile):
    assert page.values()["."] == profile.totals.macs
    assert f"{profile.totals.macs:,} MAC" in page.part("icicle-status").inner_text()
    assert f"{profile.totals.macs:,} MAC" == page.page.evaluate("document.querySelector('.modules td.number').title")


def test_the_table_is_there_before_plotly_is(page):
    assert page.page.evaluate("window.rowsBefore") > 5


def test_another_measure_is_another_picture(page, profile):
    macs = page.values()
    page.part("measure").select_option("bytes moved")
    moved = page.values()
    assert moved["."] == profile.totals.bytes_read + profile.totals.bytes_written
    assert moved != macs
    page.part("measure").select_option("time (estimate)")
    assert page.values()["."] == pytest.approx(sum(row.estimate_s for row in profile.projection.operators))
    assert "an estimate" in page.part("icicle-status").inner_text()


def test_another_precision_is_another_roofline(page):
    before = page.drawn("roofline", "JSON.stringify(it.data.map(t => t.y))")
    page.part("roofline-precision").select_option("fp16")
    assert page.drawn("roofline", "JSON.stringify(it.data.map(t => t.y))") != before
    assert "l4 in fp16, eager:" in page.part("roofline-status").inner_text()


def test_another_mode_is_another_roofline(page):
    before = page.drawn("roofline", "JSON.stringify(it.data.map(t => t.y))")
    page.part("roofline-mode").select_option("compiled")
    assert page.drawn("roofline", "JSON.stringify(it.data.map(t => t.y))") != before
    assert ", compiled:" in page.part("roofline-status").inner_text()
    page.part("roofline-mode").select_option("eager")


def test_the_waterfall_ends_at_what_the_peer_claims(page, profile):
    bars = page.drawn("waterfall", "it.data[0].x")
    assert sum(bars) == profile.findings[0].claim.claimed


@pytest.mark.parametrize("name", ["icicle", "roofline", "memory", "waterfall"])
def test_a_picture_names_what_the_pointer_is_on(page, name):
    page.part(name).scroll_into_view_if_needed()
    box = page.part(name).bounding_box()
    for across in range(1, 20):
        page.page.mouse.move(box["x"] + box["width"] * across / 20, box["y"] + box["height"] * 0.45)
        for _ in range(20):  # plotly waits until the pointer rests
            if page.part(name).locator(".hoverlayer text").count():
                return
            page.page.wait_for_timeout(25)
    pytest.fail("no label appeared")


def test_a_search_leaves_the_rows_that_match(page):
    everything = page.rows()
    page.part("search").fill("batchnorm")
    found = page.rows()
    assert 0 < len(found) < len(everything)
    assert {row[1] for row in found} == {"BatchNorm2d"}
    page.part("search").fill("no such module")
    assert page.rows() == []
    assert page.part("table-status").inner_text() == "0 rows"


def test_blocks_can_be_unfolded(page, profile):
    assert any(row[1] == "Sequential ×4" for row in page.rows())
    page.part("fold").uncheck()
    totals = [node.total for node in profile.nodes.values()]
    assert [row[2:4] + row[5:7] for row in page.rows()] == [
        [units.count(t.macs), units.count(t.flops), moved(t), units.count(t.params)] for t in totals
    ]


def moved(totals) -> str:
    amount = totals.bytes_read + totals.bytes_written
    return units.size(amount) if amount else "0"


def test_a_heading_sorts(page):
    page.page.get_by_role("button", name="MACs").click()
    amounts = page.page.evaluate(
        "[...document.querySelectorAll('.modules tbody tr:not(.gap)')]"
        ".map(row => Number(row.cells[2].title.replace(/[^0-9]/g, '')))"
    )
    assert amounts == sorted(amounts, reverse=True)
    assert page.page.locator('th[aria-sort="descending"]').inner_text().startswith("MACs")
    page.page.get_by_role("button", name="MACs").click()
    assert page.page.locator('th[aria-sort="ascending"]').inner_text().startswith("MACs")


def test_the_keyboard_walks_and_zooms(page):
    page.part("icicle").focus()
    page.page.keyboard.press("ArrowDown")
    assert page.part("icicle-status").inner_text().startswith("0: ")
    page.page.keyboard.press("ArrowRight")
    assert page.part("icicle-status").inner_text().startswith("1: ")
    assert page.page.url.endswith("#module=1")
    page.page.keyboard.press("Enter")
    assert page.drawn("icicle", "it.data[0].ids[0]") == "1"
    assert page.part("crumbs").inner_text().split() == ["Sequential", "1"]
    page.page.keyboard.press("Escape")
    assert page.drawn("icicle", "it.data[0].ids[0]") == "."


def test_a_click_zooms_and_the_breadcrumbs_lead_back(page):
    page.page.locator('[data-part="icicle"] g.slice', has_text="0–3").first.click()
    page.until("document.querySelector('[data-part=icicle]').data[0].ids[0] === '1.0–3'")
    page.part("crumbs").get_by_role("button", name="Sequential").click()
    assert page.drawn("icicle", "it.data[0].ids[0]") == "."


@pytest.mark.parametrize(
    ("link", "chosen"),
    [("1.0-3", "Sequential"), ("1.2.0", "1.2.0"), ("1.0%E2%80%933", "1.0–3"), ("%E0%A4%A", "Sequential")],
)
def test_a_link_leads_to_its_module(page, link, chosen):
    page.page.evaluate(f"location.hash = '#module={link}'")
    page.until(f"document.querySelector('[data-part=icicle-status]').innerText.startsWith('{chosen}: ')")


@pytest.mark.parametrize(
    ("form", "start"), [("CSV", "path,type,calls"), ("Markdown", "| path |"), ("LaTeX", "\\begin{tabular}")]
)
def test_the_table_is_copied(page, form, start):
    page.page.get_by_role("button", name=form).click()
    page.until(f"document.querySelector('[data-part=table-status]').innerText.endsWith('{form}')")
    copied = page.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(start)
    assert len(copied.splitlines()) >= len(page.rows())


def test_nothing_serious_is_wrong_for_screen_readers_in_light_and_dark(browser, file):
    page = OpenPage(browser, file, bypass_csp=True)
    inks = []
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.page.emulate_media(color_scheme=scheme)
        page.page.set_viewport_size({"width": width, "height": 844})
        page.until(f"document.querySelector('[data-part=memory]')._fullLayout.width <= {width}")
        page.until(f"document.querySelector('[data-part=memory]').layout.font.color !== '{inks[0] if inks else ''}'")
        inks.append(page.drawn("memory", "it.layout.font.color"))
        assert serious(page) == [], scheme
        assert page.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "wider than the screen"
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.drawn("memory", "it.layout.font.color") == inks[0], "paper is white"
    closed = "[...document.querySelectorAll('details:not([data-peer])')].filter(details => !details.open).length"
    assert page.page.evaluate(closed) == 0, "paper cannot be clicked"
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.drawn("memory", "it.layout.font.color") == inks[1]
    page.close()


def test_hostile_names_are_text_and_a_printed_page_lists_every_module(browser, tmp_path):
    model = nn.Sequential(*(nn.Linear(i + 1, i + 2) for i in range(400)))
    for name in HOSTILE:
        model.add_module(name, nn.Linear(401, 401))
    path = tmp_path / "hostile.html"
    profile = profiler.count(model.to("meta"), torch.empty(1, 1, device="meta"))
    path.write_text(render(profile, "html", title=HOSTILE[0]), "utf-8")
    page = OpenPage(browser, path)
    assert page.page.locator("h1").inner_text() == HOSTILE[0]
    assert len(page.rows()) < 100, "only the rows in view exist"
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    names = [row[0] for row in page.rows()]
    assert len(names) == 401 + len(HOSTILE)
    assert names[401:406] == [*HOSTILE[:4], r"\u202egnp"]
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.page.evaluate("document.querySelector('[data-part=table]').scrollTop = 400 * 30")
    page.until("document.querySelector('.modules tbody').innerText.includes('=cmd()')")
    boxes = page.page.locator('[data-part="icicle"] .slicetext').all_text_contents()
    assert HOSTILE[0] in boxes
    assert HOSTILE[3] in boxes
    assert page.messages == []
    page.close()


def counted(*widths: int) -> profiler.Profile:
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(widths)))
    return profiler.count(model.to("meta"), torch.empty(2, widths[0], device="meta"))


def serious(page):
    from axe_playwright_python.sync_playwright import Axe

    found = [v for v in Axe().run(page.page).response["violations"] if v["impact"] in {"serious", "critical"}]
    return [(v["id"], [node["html"] for node in v["nodes"]][:3]) for v in found]


def test_several_profiles_have_a_tab_each_and_are_compared(browser, tmp_path):
    profiles = [counted(8, 8, 8), counted(16, 16, 16, 16), counted(32, 8)]
    reports = [Report(profile, f"model {i}", 2) for i, profile in enumerate(profiles)]
    path = tmp_path / "several.html"
    path.write_text(render_page(reports, "three"), "utf-8")
    page = OpenPage(browser, path, drawn='[data-part="comparison"].js-plotly-plot', bypass_csp=True)
    assert page.drawn("comparison", "it.data[0].x") == [p.totals.params for p in profiles]
    assert page.drawn("comparison", "it.data[0].y") == [p.totals.flops for p in profiles]
    page.page.get_by_label("measure up").select_option("MACs")
    assert page.drawn("comparison", "it.data[0].y") == [p.totals.macs for p in profiles]
    assert serious(page) == []
    page.page.get_by_role("tab", name="Comparison").focus()
    for i, profile in enumerate(profiles):
        page.page.keyboard.press("ArrowRight")
        page.until(f"document.querySelectorAll('article')[{i}].dataset.drawn")
        icicle = f"document.querySelectorAll('[data-part=icicle]')[{i}]"
        assert page.page.evaluate(f"{icicle}.data[0].values[0]") == profile.totals.macs
        assert page.page.evaluate(f"{icicle}.getBoundingClientRect().width") > 500
        assert page.page.locator("h1:visible").all_inner_texts() == [f"model {i}"]
    assert page.messages == []
    page.close()


def test_devices_are_points_and_rows_that_lead_to_their_report(browser, tmp_path):
    profile, names = counted(64, 64, 64), ("l4", "t4", "a100-pcie-40gb", "jetson-agx-orin-64gb")
    ranked = rank(profile, map(find_device, names), precision="fp16", fps=30)
    path = tmp_path / "devices.html"
    path.write_text(RANKING_FORMATS.render(RankingReport(ranked, "net", "fp16", 30, None, profile), "html"), "utf-8")
    page = OpenPage(browser, path, drawn='[data-part="comparison"].js-plotly-plot', bypass_csp=True)
    power = {name: find_device(name).power_w for name in names}
    drawn = page.drawn("comparison", "it.data.flatMap(t => (t.customdata ?? []).map((d, i) => [d[1], t.x[i]]))")
    assert dict(drawn) == power
    assert len({tuple(s) for s in page.drawn("comparison", "it.data.slice(0, 2).map(t => t.marker.symbol)")}) == 2
    page.page.get_by_role("button", name="W", exact=True).click()
    first = "[...document.querySelectorAll('[data-sorted] tbody tr')].map(row => row.cells[0].innerText.split(' ')[0])"
    assert page.page.evaluate(first) == sorted(names, key=lambda name: -power[name])
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.page.emulate_media(color_scheme=scheme)
        page.page.set_viewport_size({"width": width, "height": 844})
        page.until(f"document.querySelector('[data-part=comparison]')._fullLayout.width <= {width}")
        assert serious(page) == [], scheme
        assert page.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "wider than the screen"
    page.page.locator("[data-sorted]").get_by_role("button", name="t4").click()
    page.until("document.querySelector('article:not([hidden] *)').dataset.drawn")
    assert page.page.locator("h1:visible").all_inner_texts() == ["t4"]
    tab = [row.device.id for row in ranked.rows].index("t4") + 1
    assert page.page.url.endswith(f"#tab={tab}")
    assert page.messages == []
    page.close()
    linked = OpenPage(browser, path, drawn=":not([hidden]) > article[data-drawn]", fragment=f"tab={tab}&module=1")
    assert linked.page.locator("h1:visible").all_inner_texts() == ["t4"]
    status = linked.page.locator('[data-part="icicle-status"]:visible')
    assert status.inner_text().startswith("1: ")
    assert linked.requests == [path.as_uri()]
    linked.close()


def test_a_page_without_reports_and_one_without_points_have_no_error(browser, tmp_path):
    point = {"input": None, "dtype": None, "optimizer": None, "status": "ok", "error": ""}
    rows = [{"target": f"m{i}", "batch": i, "macs": 10**i, "params": i, **point} for i in (1, 2, 3)]
    sweep, alone = tmp_path / "sweep.html", tmp_path / "alone.html"
    sweep.write_text(sweep_page(rows), "utf-8")
    page = OpenPage(browser, sweep, drawn='[data-part="comparison"].js-plotly-plot', bypass_csp=True)
    assert page.drawn("comparison", "it.data.filter(t => t.customdata).flatMap(t => t.y)") == [10, 100, 1000]
    assert serious(page) == []
    assert (page.messages, page.requests) == ([], [sweep.as_uri()])
    page.close()
    profiler.compare({"one": counted(8, 8)}).write_html(alone)
    page = OpenPage(browser, alone, drawn="[data-sorted] button")
    page.page.locator("[data-tab]").click()
    page.until("document.querySelector('article').dataset.drawn")
    assert page.messages == []
    page.close()


def test_without_scripts_there_is_a_picture_and_it_has_the_places_of_the_drawn_one(browser, page, file):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    plain = context.new_page()
    plain.goto(file.as_uri())
    still = plain.locator('[data-part="icicle"] > svg > svg')
    boxes = [still.nth(i).bounding_box() for i in range(still.count())]
    context.close()
    drawn = page.page.locator('[data-part="icicle"] path.surface')
    others = [drawn.nth(i).bounding_box() for i in range(drawn.count())]
    assert len(boxes) == len(others) > 5
    for place in ("x", "width", "height"):
        assert sorted(box[place] for box in boxes) == pytest.approx(sorted(box[place] for box in others), abs=12)


def test_a_difference_is_two_icicles_in_one_scale(browser, tmp_path):
    before, after = counted(8, 8, 8), counted(8, 8, 16, 16)
    path = tmp_path / "difference.html"
    path.write_text(DIFF_FORMATS.render(DiffReport(diff(before, after), "old", "new"), "html"), "utf-8")
    page = OpenPage(browser, path, drawn='[data-part="difference"].js-plotly-plot')
    assert page.drawn("difference", "it.data.map(t => t.values[0])") == [before.totals.macs, after.totals.macs]
    widths = page.drawn("difference", "it.data.map(t => t.domain.x[1] - t.domain.x[0])")
    assert widths[0] / widths[1] == pytest.approx(before.totals.macs / after.totals.macs)
    hatched = page.drawn("difference", "it.data.map(t => t.ids.filter((_, i) => t.marker.pattern.shape[i]))")
    assert hatched == [[], ["2"]]
    page.part("difference").locator("g.slice", has_text="1").last.click()
    page.until("document.querySelector('[data-part=difference-status]').innerText.startsWith('1: ')")
    assert page.drawn("difference", "it.data.map(t => t.values[0])") == [2 * 8 * 8, 2 * 8 * 16]
    assert "+ 2 Linear" in page.page.locator("#panel-comparison").inner_text()
    assert "~ 1 Linear" in page.page.locator("#panel-comparison").inner_text()
    assert page.messages == []
    page.close()


#: What the page is made for: the words of a command, and the most bytes that its page may have.
REAL = {
    "resnet50": (["resnet50"], 2_500_000),
    "405b": (["hf:llama-3.1-405b"], 6_000_000),
    "step": (["hf:gpt2", "--train"], 2_500_000),
    "peers": (["vit_b_16", "--against", "all", "--on", "l4"], 2_500_000),
}


@pytest.mark.slow
@pytest.mark.parametrize(("words", "most"), REAL.values(), ids=REAL)
def test_real_models(browser, tmp_path, words, most):
    saved, path = tmp_path / "saved.json", tmp_path / "page.html"
    for form, output in (("json", saved), ("html", path)):
        source = words if form == "json" else ["view", str(saved)]
        command = [sys.executable, "-m", "profiler", *source, "--format", form, "--output", str(output)]
        subprocess.run(command, check=True, capture_output=True)
    assert path.stat().st_size <= most
    page = OpenPage(browser, path)
    totals = json.loads(saved.read_text("utf-8"))["totals"]
    assert page.values()["."] == totals["macs"] == load(saved).totals.macs
    assert page.messages == []
    assert page.requests == [path.as_uri()]
    page.close()
