"""Code blocks of a page in Markdown, and how each kind is run.

The line above a block may mark it: ``<!-- slow -->`` (run by the slow tests only), or ``<!-- not run: REASON -->``.

* ``python``: run; the blocks of a page share their names, and one folder.
* ``text title="output"``: what the ``python`` block before it prints.
* ``console``: commands after ``$``, and what they print. A line ``…`` stands for any number of lines.
* any language with a title: the file of that name, written to the page's folder.
* ``sh``, ``bash``, ``text`` and blocks without a language: not run.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import torch

from profiler.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
#: A line that stands for any number of lines.
ELLIPSIS = "…"
_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>slow|not run: [^\n]*?) -->\n)?"
    r'^```(?P<language>\w*)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$',
    flags=re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n(?P<output>(?:(?!\$ )[^\n]*\n)*)", flags=re.MULTILINE)
_VERSION = re.compile(r"\b(torch|torchvision|fvcore|thop|ptflops|torchinfo|calflops|torchprofile) \d[\w.+-]*")
#: The width of a terminal that has none, and no place of CI.
_ENVIRONMENT = {"COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}
#: The highest exit status that a page may show.
_MODEL_FAILED = 3
_UNSET = ("GITHUB_ACTIONS", "CI", "FORCE_COLOR", "PROFILER_DEBUG")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where it stands, its language, title and mark, and its text."""

    start: int
    end: int
    language: str
    title: str
    mark: str
    code: str


@dataclass(frozen=True, slots=True)
class Change:
    """A place in a page where what is shown is not what is printed."""

    start: int
    end: int
    shown: str
    printed: str


@dataclass(slots=True)
class Session:
    """One run through a page: its folder, the names that its Python blocks share, and what the last of them printed."""

    folder: Path
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""


def pages() -> list[Path]:
    """Return README.md and all pages of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of *text*, in their order."""
    return [
        Block(m.start("code"), m.end("code"), m["language"], m["title"] or "", m["mark"] or "", m["code"])
        for m in _BLOCK.finditer(text)
    ]


def changes(text: str, folder: Path, *, slow: bool) -> Iterator[Change]:
    """Run the blocks of a page in *folder*, and yield what is shown otherwise than it is printed.

    Args:
        text: The page.
        folder: An empty folder in which the blocks run.
        slow: Whether to run the slow blocks too.
    """
    session = Session(folder)
    with _terminal(folder):
        for block in blocks(text):
            if not block.mark or (slow and block.mark == "slow"):
                yield from _run(block, session)


def _run(block: Block, session: Session) -> Iterator[Change]:
    if block.title == "output":
        yield from _compared(block.start, block.code, session.printed)
    elif block.title:
        file = session.folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.code, encoding="utf-8")
    elif block.language == "python":
        session.printed = _python(block.code, session.names)
    elif block.language == "console":
        for match in _COMMAND.finditer(block.code):
            yield from _compared(block.start + match.start("output"), match["output"], _command(match["command"]))


def _compared(start: int, shown: str, printed: str) -> Iterator[Change]:
    if not matches(shown, printed):
        yield Change(start, start + len(shown), shown, refreshed(shown, printed))


def _python(code: str, names: dict[str, object]) -> str:
    with redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module="profiler")
        exec(compile(code, "block", "exec"), names)  # noqa: S102 - the page's own code
    return without_versions(printed.getvalue())


def _command(command: str) -> str:
    """Return what *command* prints: a plain call of profiler in this process, anything else in a shell."""
    words = shlex.split(command)
    if words[:3] == ["python", "-m", "profiler"]:
        words = words[2:]
    if words[0] != "profiler" or {"|", ">", "&&", ";"} & set(words):
        return without_versions(_shell(command))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = main(words[1:])
    printed = "".join(stream.buffer.getvalue().decode() for stream in (out, err))
    assert status <= _MODEL_FAILED, f"{command}: status {status}: {printed}"  # interrupted, or profiler itself failed
    return without_versions(printed)


def _shell(command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    return done.stdout.decode()


@contextmanager
def _terminal(folder: Path) -> Iterator[None]:
    """Work in *folder*, as in a terminal of 80 columns. What a page sets for its process is set back."""
    rest = {name: value for name, value in os.environ.items() if name not in _UNSET}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        with mock.patch.dict(os.environ, rest | _ENVIRONMENT, clear=True), chdir(folder):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def without_versions(text: str) -> str:
    """Replace versions, which depend on what is installed, and remove spaces at the ends of lines."""
    return "".join(f"{line.rstrip()}\n" for line in _VERSION.sub(rf"\1 {ELLIPSIS}", text).strip("\n").split("\n"))


def matches(shown: str, printed: str) -> bool:
    """Return whether *printed* is what is *shown*, where a line ``…`` stands for any number of lines."""
    parts = (re.escape(part) for part in re.split(rf"(?m)^{ELLIPSIS}\n", shown))
    return re.fullmatch("(?:.*\n)*?".join(parts), printed) is not None


def refreshed(shown: str, printed: str) -> str:
    """Return *printed*, cut as *shown* is: as many lines before the first ``…``, and after the last."""
    parts = re.split(rf"(?m)^{ELLIPSIS}\n", shown)
    if len(parts) == 1:
        return printed
    lines, head, tail = printed.splitlines(keepends=True), parts[0].count("\n"), parts[-1].count("\n")
    return "".join([*lines[:head], f"{ELLIPSIS}\n", *(lines[-tail:] if tail else [])])
