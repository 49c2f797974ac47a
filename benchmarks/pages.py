"""How large the pages of a browser are, and when they are painted and drawn: the median of several openings.

    python benchmarks/pages.py
    python benchmarks/pages.py --runs 9 'resnet50 --on l4' 'hf:gpt2 --train'

Each page is made by the command whose words are given, and opened in a fresh context of Debian's Chromium, or of the
one that CHROMIUM names. ``pictures`` is the time until all pictures of the page are drawn, from its opening on.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import cyclopts
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from profiler import units

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COMMANDS = ("resnet50", "hf:llama-3.1-405b", "hf:gpt2 --train", "vit_b_16 --against all --on l4")
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_DRAWN = "Number(document.querySelector('article').dataset.drawn)"


def opened(browser: Browser, page: Path) -> tuple[float, float]:
    """Return after how many milliseconds a page was painted, and after how many its pictures were drawn."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    view = context.new_page()
    view.goto(page.as_uri())
    view.wait_for_selector("article[data-drawn]")
    times = view.evaluate(_PAINT), view.evaluate(_DRAWN)
    context.close()
    return times


def made(command: str, folder: str) -> Path:
    """Write the page of a command, and return its path."""
    page = Path(folder, "page.html")
    words = [sys.executable, "-m", "profiler", *shlex.split(command), "--format", "html", "--output", str(page)]
    subprocess.run(words, check=True)  # noqa: S603 - our own command
    return page


def main(*commands: str, runs: int = 5) -> None:
    """Print the table.

    Args:
        commands: Words of the command; four pages by default.
        runs: How often each page is opened.
    """
    table = Table("page", "size", "first paint", "pictures")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for command in commands or COMMANDS:
            page = made(command, folder)
            times = [
                f"{median(ms) / 1000:.2f} s" for ms in zip(*(opened(browser, page) for _ in range(runs)), strict=True)
            ]
            table.add_row(command, units.size(page.stat().st_size), *times)
        browser.close()
    Console(width=120).print(table)


if __name__ == "__main__":
    cyclopts.run(main)
