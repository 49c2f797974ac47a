"""Write into README.md and docs/ what the program prints now, and the pages that are generated from it.

scripts/refresh-docs                        # all pages
scripts/refresh-docs README.md docs/names.md
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from documentation.blocks import ROOT, changes, pages
from documentation.generated import GENERATED

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(names: Sequence[str]) -> None:
    """Refresh the pages of these *names*, or all: first the generated ones, which see no command that a block ran."""
    written = [str(page.relative_to(ROOT)) for page in pages()]
    for name in sorted(names or {*written, *GENERATED}, key=lambda name: name not in GENERATED):
        try:
            text = GENERATED[name]() if name in GENERATED else refreshed_page((ROOT / name).read_text(encoding="utf-8"))
        except Exception as error:
            error.add_note(f"in {name}")
            raise
        _write(ROOT / name, text)


def refreshed_page(text: str) -> str:
    """Return the page with what its blocks print now."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(changes(text, Path(folder), slow=True))
    for change in reversed(found):
        text = text[: change.start] + change.printed + text[change.end :]
    return text


def _write(page: Path, text: str) -> None:
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")
        print(f"{page.relative_to(ROOT)} has changed")


if __name__ == "__main__":
    main(sys.argv[1:])
