"""The documentation is true: pages show what is printed, their code runs, generated pages are up to date."""

from __future__ import annotations

import re

import pytest
from documentation.blocks import ROOT, blocks, changes, matches, pages, refreshed, without_versions
from documentation.generated import GENERATED, departures, schema

WRITTEN = [page for page in pages() if str(page.relative_to(ROOT)) not in GENERATED]
NAMES = [str(page.relative_to(ROOT)) for page in WRITTEN]
SLOW = [page for page in WRITTEN if any(block.mark == "slow" for block in blocks(page.read_text(encoding="utf-8")))]
#: Languages of blocks that need no run: how to install, and what a shell or an editor shows.
UNCHECKED = {"", "sh", "bash", "text"}


def assert_true(page, folder, *, slow):
    text = page.read_text(encoding="utf-8")
    for change in changes(text, folder, slow=slow):
        line = text.count("\n", 0, change.start) + 1
        assert change.shown == change.printed, f"{page.name}:{line}: scripts/refresh-docs {page.relative_to(ROOT)}"


@pytest.mark.parametrize("page", WRITTEN, ids=NAMES)
def test_what_a_page_shows_is_what_is_printed(page, tmp_path):
    assert_true(page, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=[str(page.relative_to(ROOT)) for page in SLOW])
def test_what_a_page_shows_is_what_is_printed_in_its_slow_blocks_too(page, tmp_path):
    assert_true(page, tmp_path, slow=True)


@pytest.mark.parametrize("page", WRITTEN, ids=NAMES)
def test_every_block_of_a_page_is_run_compared_or_says_why_not(page):
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    assert len(re.findall(r"^\s*```", text, flags=re.MULTILINE)) == 2 * len(found), "a fence that no block has"
    for block in found:
        run = block.title or block.mark or block.language in {"python", "console"} | UNCHECKED
        assert run, f"{page.name}: not run, and no title: {block.code[:60]!r}"


def test_ci_runs_the_line_that_contributors_are_told():
    lines = re.findall(r"```sh\n(.*scripts/check)\n```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(lines) == 1
    assert lines[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [departures, schema])
def test_generated_pages_are_up_to_date(page):
    path = next(name for name, function in GENERATED.items() if function is page)
    assert (ROOT / path).read_text(encoding="utf-8") == page(), "run scripts/refresh-docs"


def test_the_page_of_commands_has_every_option_of_the_program():
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    options = re.compile(r"(?<![\w-])--[a-z][\w-]*")
    assert set(options.findall(text)) == set(options.findall(GENERATED["docs/reference/commands.md"]()))


def test_a_line_of_dots_stands_for_any_number_of_lines():
    assert matches("a\n…\nz\n", "a\nb\nc\nz\n")
    assert matches("a\n…\n", "a\nb\n")
    assert not matches("a\n…\nz\n", "a\nb\n")
    assert not matches("a\n", "a\nb\n")
    assert refreshed("x\n…\ny\nz\n", "1\n2\n3\n4\n") == "1\n…\n3\n4\n"
    assert refreshed("x\n", "1\n2\n") == "1\n2\n"


def test_versions_are_no_part_of_what_is_shown():
    assert without_versions("fvcore (fvcore 0.1.5.post20221221), MAC \n\n") == "fvcore (fvcore …), MAC\n"


def test_there_are_blocks_to_check():
    found = [block for page in WRITTEN for block in blocks(page.read_text(encoding="utf-8"))]
    assert sum(block.language == "python" for block in found) >= 10
    assert sum(block.language == "console" for block in found) >= 10
