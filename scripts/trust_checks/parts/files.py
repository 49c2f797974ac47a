"""Files that are changed at random: each is read, or refused in one line, and nothing else happens.

Otherwise it is lost: the exit status is 0 to 3, with one line of an error if it is not 0, in time, without a traceback,
without a program or code that runs, and without a file that is written elsewhere.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
from collections import Counter
from contextlib import chdir
from pathlib import Path
from random import Random
from unittest.mock import patch

from profiler.errors import ProfilerError
from trust_checks.audit import watched
from trust_checks.commands import LONGEST_LINE, complaint, run_command
from trust_checks.mutations import mutate
from trust_checks.outcome import Outcome
from trust_checks.samples import KINDS, Kind, write_samples

#: In a quick run, one of so many.
_QUICK = 150
#: Seconds after which a file that hangs ends the process, with what it does then.
_HANGS_S = 900
#: Where a file that was lost is kept.
_KEPT = Path(tempfile.gettempdir(), "profiler-trust")


#: Kinds that can be read alone.
SECTIONS = tuple(KINDS)


def run(*, quick: bool, seed: int, only: str | None = None, numbers: range | None = None) -> Outcome:
    """Change files of every kind, and read them."""
    kinds = {name: kind for name, kind in KINDS.items() if only in {None, name}}
    with tempfile.TemporaryDirectory() as name, chdir(name), _own_home(name):
        folder = Path(name)
        samples = write_samples(folder)
        lost, statuses, tried = [], Counter(), 0
        for kind_name, kind in kinds.items():
            times = max(3, kind.share // _QUICK) if quick else kind.share
            for number in numbers or range(-1, times):  # the first is the sample itself
                data = changed(samples[kind_name], kind_name, seed, number)
                status, wrong = read(kind, data, folder)
                wrong = wrong or (f"the sample is refused: {status}" if number < 0 and status not in {0, 1} else "")
                lost += [_kept(kind_name, kind, seed, number, data, wrong)] if wrong else []
                statuses[status] += 1
                tried += 1
        notes = ", ".join(f"status {status}: {times:,}" for status, times in sorted(statuses.items()))
    return Outcome(tried, f"files of {len(kinds)} kinds, changed at random", tuple(lost), (notes,))


def changed(sample: bytes, kind: str, seed: int, number: int) -> bytes:
    """Return the *number*-th file of a kind; that of -1 is the sample."""
    return sample if number < 0 else mutate(sample, Random(f"{kind} {seed} {number}"))  # noqa: S311 - no secret


def read(kind: Kind, data: bytes, folder: Path) -> tuple[int, str]:
    """Read a file; return the exit status, and what was wrong with that."""
    path = _place(kind, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    before = _listing(folder)
    faulthandler.dump_traceback_later(_HANGS_S, exit=True)
    with watched(folder) as events:
        status, wrong = _read_by_function(kind, path) if kind.read else _read_by_command(kind, path)
    faulthandler.cancel_dump_traceback_later()
    more = _listing(folder) - before
    wrong = wrong or (f"it did {events[0]}" if events else "") or (f"it wrote {sorted(more)}" if more else "")
    return status, wrong


def _place(kind: Kind, folder: Path) -> Path:
    if kind.file == "baselines":
        (path,) = (folder / "baselines").iterdir()
        return path
    return folder / kind.file


def _read_by_command(kind: Kind, path: Path) -> tuple[int, str]:
    name = kind.prefix + path.name
    words = (name, *kind.words) if path.suffix in {".pt2", ".ts"} else (*kind.words, name)
    ran = run_command(*(kind.words if kind.file == "baselines" else words))
    return ran.status, complaint(ran)


def _read_by_function(kind: Kind, path: Path) -> tuple[int, str]:
    assert kind.read is not None
    try:
        kind.read(path)
    except ProfilerError as error:
        message = str(error)
        return error.exit_status, f"a message of {len(message)} characters" if len(message) > LONGEST_LINE else ""
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return 4, f"{type(error).__name__}: {error!s:.200}"
    return 0, ""


def _listing(folder: Path) -> set[str]:
    """Return the files in a folder, without what Python and this package cache."""
    paths = (path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in paths if ".cache" not in path.relative_to(folder).parts}


def _own_home(folder: str) -> object:
    """Put the user's caches into the folder."""
    return patch.dict(os.environ, {"HOME": folder, "XDG_CACHE_HOME": str(Path(folder, ".cache"))})


def _kept(name: str, kind: Kind, seed: int, number: int, data: bytes, wrong: str) -> str:
    """Keep a file, and return the line that says what was wrong with it."""
    _KEPT.mkdir(exist_ok=True)
    path = _KEPT / f"{name.replace(' ', '-')}-{seed}-{number}{Path(kind.file).suffix}"
    path.write_bytes(data)
    return f"{path}: {wrong}"
