"""Large models, many calls, many profiles, and writers that are killed, race or have no room: nothing is lost."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

import torch
from torch import nn

import profiler
from profiler.report import PROFILE_FORMATS, render
from trust_checks.commands import run_command
from trust_checks.interrupts import interrupted_at, lines_of
from trust_checks.outcome import Outcome

#: Takes whether it is a quick run, and a generator of its own; returns what was tried, and what was lost.
Check = Callable[[bool, Random], tuple[str, list[str]]]
_MIB = 2**20


def run(*, quick: bool, seed: int, only: str | None = None) -> Outcome:
    """Run every check, or one; each says in a note what it tried, and how long that took."""
    torch.set_num_threads(1)  # torch's own threads do not survive a fork
    lost, notes = [], []
    checks = {name: check for name, check in CHECKS.items() if only in {None, name}}
    for name, check in checks.items():
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tried, wrong = check(quick, Random(f"{name} {seed}"))  # noqa: S311 - no secret
        lost += [f"{name}: {each}" for each in wrong]
        notes.append(f"{name}: {tried} ({time.monotonic() - start:.0f} s)")
    return Outcome(len(checks), "kinds of load", tuple(lost), tuple(notes))


def _modules(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Count a model of very many modules; save, load and show it."""
    number = 1_000 if quick else 100_000
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False, device="meta") for _ in range(number)))
    profile = profiler.count(model, torch.empty(3, 2, device="meta"))
    lost = [] if profile.totals.macs == number * 12 else [f"counted {profile.totals.macs} MACs, not {number * 12}"]
    profile.save("large.json")
    size = Path("large.json").stat().st_size
    loaded = profiler.load("large.json")
    lost += [] if loaded == profile else ["a saved profile is not read back as it was"]
    lost += [] if str(loaded) else ["nothing is shown"]
    return f"{number:,} modules, saved in {size / _MIB:.1f} MiB", lost


def _operators(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Count very many operators."""
    number = 10_000 if quick else 1_000_000
    x = torch.ones(2, 2)
    with profiler.profile() as p, torch.no_grad():
        for _ in range(number):
            x @ x
    lost = [] if p.totals.macs == number * 8 else [f"counted {p.totals.macs} MACs, not {number * 8}"]
    return f"{number:,} calls of an operator", lost


def _profiles(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Count very often in one process; what is kept in memory does not grow."""
    number, model, x = 200 if quick else 10_000, nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.ones(2, 4)
    objects, kept = [], []
    for i in range(number):
        kept.append(profiler.count(model, x).totals.macs)
        if i in {number // 2, number - 1}:
            gc.collect()
            objects.append(len(gc.get_objects()))
    lost = [] if set(kept) == {32} else [f"counted {set(kept)}"]
    grown = objects[1] - objects[0]
    lost += [f"{grown} objects more after the second half than after the first"] if grown > number // 4 else []
    return f"{number:,} profiles, {grown:+} objects in the second half", lost


def _deep(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Count, save and show a very deep tree in every format."""
    depth = 100 if quick else 1_000
    model: nn.Module = nn.Linear(2, 2, bias=False)
    for _ in range(depth):
        model = nn.Sequential(model)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # for torch's own calls
    try:
        profile = profiler.count(model, torch.ones(1, 2))
    finally:
        sys.setrecursionlimit(limit)
    profile.save("deep.json")
    lost = [] if profiler.load("deep.json") == profile else ["a saved profile is not read back as it was"]
    lost += [f"{form} is empty" for form in PROFILE_FORMATS.names() if not render(profile, form, depth=depth + 2)]
    return f"{depth:,} levels in {len(PROFILE_FORMATS.names())} formats", lost


_NETS = "from torch import nn\nimport os\ndef net(): return nn.Linear(8, int(os.environ.get('WIDTH', 4)))\n"
_BUDGETS = "".join(
    f'[[budget]]\nname = "{name}"\ntarget = "nets.py:net"\ninput = "8"\nmacs = "+900 %"\n' for name in "xyz"
)


def _updates(quick: bool, random: Random) -> tuple[str, list[str]]:
    """Update the same baselines from two processes at once: they are those of one of them, and no file is left over."""
    rounds, lost = 2 if quick else 50, []
    Path("nets.py").write_text(_NETS, encoding="utf-8")
    Path("budgets.toml").write_text(_BUDGETS, encoding="utf-8")
    run_command("check", "budgets.toml", "--update")
    refused = 0
    for i in range(rounds):
        widths = random.sample(range(1, 30), 2)
        children = [_forked(lambda width=width: _update(width)) for width in widths]  # type: ignore[misc]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        refused += statuses.count(2)
        found = {profiler.load(path).totals.macs for path in Path("baselines").iterdir() if path.suffix == ".json"}
        left = [path.name for path in Path("baselines").iterdir() if path.suffix != ".json"]
        if len(found) != 1 or left or not set(statuses) <= {0, 2} or 0 not in statuses:
            lost.append(f"round {i}, widths {widths}: statuses {statuses}, MACs {found}, left {left}")
    return f"{rounds} rounds of two updates at once, {refused} refused in one line", lost


def _update(width: int) -> int:
    with patch.dict(os.environ, {"WIDTH": str(width)}):
        return run_command("check", "budgets.toml", "--update").status


def _forked(work: Callable[[], int]) -> int:
    """Run *work* in a forked process, whose exit status it returns; return the process."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        status = work()
    finally:
        os._exit(status)


def _writers(old: bool) -> dict[str, tuple[Path, Callable[[], object]]]:
    """Return what writes each kind of file, and the file."""
    profile = profiler.count(nn.Linear(8, 4 if old else 5), torch.ones(1, 8))
    words = ("nets.py:net", "--input", "8", "--format", "json", "--output", "out.json")
    return {
        "save": (Path("saved.json"), lambda: profile.save("saved.json")),
        "write_html": (Path("page.html"), lambda: profile.write_html("page.html")),
        "--output": (Path("out.json"), lambda: run_command(*words)),
        "check --update": (Path("baselines/x.json"), lambda: run_command("check", "budgets.toml", "--update")),
    }


def _kills(quick: bool, random: Random) -> tuple[str, list[str]]:
    """Kill each writer at random lines: the file is the old or the new one, and the next write leaves no other."""
    times, lost = 4 if quick else 100, []
    Path("nets.py").write_text(_NETS, encoding="utf-8")
    Path("budgets.toml").write_text(_BUDGETS, encoding="utf-8")
    writers = _writers(old=True)
    for name, (path, write) in writers.items():
        write()
        contents = {path.read_bytes()}
        with patch.dict(os.environ, {"WIDTH": "5"}):
            new = _writers(old=False)[name][1]
            lines = lines_of(new)
            contents.add(path.read_bytes())
            for _ in range(times):
                line = random.randint(max(1, lines - 400), lines)  # the file is written at the end
                child = _forked(lambda line=line, new=new: bool(interrupted_at(line, new, signal.SIGKILL, ())))  # type: ignore[misc]
                os.waitpid(child, 0)
                if _text(path) not in {_plain(content) for content in contents}:
                    lost.append(f"{name}, line {line}: the file is neither the old nor the new one")
        write()
        left = [each.name for each in path.parent.iterdir() if each.name.startswith(".profiler-")]
        lost += [f"{name}: {left} after the next write"] if left else []
    return f"{times} kills of each of {len(writers)} writers", lost


def _text(path: Path) -> str:
    return _plain(path.read_bytes())


def _plain(content: bytes) -> str:
    return content.decode()


@contextmanager
def _small_disk() -> Iterator[Path | None]:
    """Yield a file system of 64 KiB, if this user may mount one."""
    folder = Path("disk").absolute()
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


def _full_disk(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Write to a full disk: an error of one line, the old file as it was, and nothing left over."""
    del quick
    Path("nets.py").write_text(_NETS, encoding="utf-8")
    words = ("nets.py:net", "--input", "8", "--output")
    with _small_disk() as disk:
        if disk is None:
            return "skipped: this user may not mount a small file system", []
        lost = []
        for form in ("text", "json", "html"):
            path = disk / f"out.{form}"
            path.write_text("old", encoding="utf-8")
            (disk / "filler").write_bytes(b"x" * (disk.stat().st_blksize * 14))
            ran = run_command(*words, str(path), "--format", form)
            (disk / "filler").unlink()
            whole = path.read_text(encoding="utf-8") == "old" if ran.status else path.stat().st_size > len("old")
            left = [each.name for each in disk.iterdir() if each.name != path.name]
            if ran.status not in {0, 2} or ran.err.count("error: ") != (ran.status == 2) or not whole or left:  # noqa: PLR2004
                lost.append(f"{form}: status {ran.status}, {ran.err!r}, left {left}")
            path.unlink()
        (disk / "baselines").mkdir()
        Path("baselines").symlink_to(disk / "baselines")
        Path("budgets.toml").write_text(_BUDGETS, encoding="utf-8")
        (disk / "filler").write_bytes(b"x" * (disk.stat().st_blksize * 15))
        ran = run_command("check", "budgets.toml", "--update")
        if ran.status != 2 or "No space left" not in ran.err:  # noqa: PLR2004
            lost.append(f"check --update: status {ran.status}, {ran.err!r}")
    return "a disk of 64 KiB, three formats and baselines", lost


def _read_only_home(quick: bool, _: Random) -> tuple[str, list[str]]:
    """Run commands whose caches cannot be written: as without."""
    lost = []
    Path("nets.py").write_text(_NETS, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"} | {"HOME": "/proc"}
    commands = [["operators", "bmm"], ["nets.py:net", "--input", "8"]][quick:]
    for words in commands:
        command = [sys.executable, "-m", "profiler", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lost += [f"{words[0]}: status {done.returncode}, {done.stderr[-200:]!r}"] if done.returncode else []
    return f"{len(commands)} commands with a home that nobody can write", lost


CHECKS: dict[str, Check] = {
    "modules": _modules, "operators": _operators, "profiles": _profiles, "depth": _deep, "updates at once": _updates,
    "kills": _kills, "full disk": _full_disk, "read-only home": _read_only_home,
}  # fmt: skip
#: Checks that can run alone.
SECTIONS = tuple(CHECKS)
