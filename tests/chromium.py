"""A Chromium for the tests of the page; without one they are skipped, but under CI they fail."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: A page in a test reaches nothing but its own file, in whatever container the test runs.
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
#: A machine that does many things at once may take long; nothing is read from the time.
PATIENCE_MS = 30_000


def find_chromium() -> str:
    """Return the path of a Chromium, skip the test if there is none, and fail it under CI."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        why = "no Chromium is installed; scripts/check installs it where it may, or set CHROMIUM to its path"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return path


@contextmanager
def open_browser():
    """Start a headless Chromium, and stop it."""
    path = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS), timeout=PATIENCE_MS)
        yield browser
        browser.close()


class OpenPage:
    """A page in the browser, with what its console said and what it asked of the network."""

    def __init__(self, browser, path, script="", drawn="article[data-drawn]", fragment="", **options):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.add_init_script(script)
        self.page.set_default_timeout(PATIENCE_MS)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + (f"#{fragment}" if fragment else ""), timeout=PATIENCE_MS)
        self.page.wait_for_selector(drawn)

    def part(self, name):
        """Return the element of the page with this part."""
        return self.page.locator(f'[data-part="{name}"]').first

    def drawn(self, name, expression):
        """Return a JavaScript expression of a picture's data, layout or element (``it``)."""
        return self.page.evaluate(
            f"(() => {{ const it = document.querySelector('[data-part={name}]'); return {expression}; }})()"
        )

    def until(self, expression):
        """Wait until a JavaScript expression is true. Playwright's own wait needs what the page's policy forbids."""
        for _ in range(PATIENCE_MS // 50):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"it never became true: {expression}")

    def values(self):
        """Return the icicle's boxes: their ids with their values."""
        return dict(self.drawn("icicle", "it.data[0].ids.map((id, i) => [id, it.data[0].values[i]])"))

    def rows(self):
        """Return the texts of the table's rows, cell by cell."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.modules tbody tr:not(.gap)')]"
            ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )

    def close(self):
        """Close it."""
        self.context.close()
