"""Baselines: the profiles that were accepted, one file each in a folder that is kept under version control.

A baseline is a saved profile, made short (``compact``); ``profiler view`` and
``profiler diff`` read it like any other. A file that cannot be read is never written over, and a file that another
process wrote since it was read is not either.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from profiler.errors import BaselineError, OutputError, SavedProfileError
from profiler.tally.saved import from_json, to_json
from profiler.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry, Profile

_ABSENT = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An accepted profile, or the place for one."""

    path: Path
    #: None where nothing was accepted yet.
    profile: Profile | None
    #: Of the file's bytes when it was read.
    digest: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A new text for a baseline, and what it is to take the place of."""

    file: str
    digest: str
    text: str

    @classmethod
    def of(cls, baseline: Baseline, profile: Profile) -> Acceptance | None:
        """Accept *profile* in place of *baseline*; None where they differ at most in the versions that counted."""
        new = compact(profile)
        if baseline.profile is not None and replace(baseline.profile, versions=new.versions) == new:
            return None
        return cls(baseline.path.name, baseline.digest, to_json(new))


@dataclass(frozen=True, slots=True)
class Baselines:
    """A folder of baselines."""

    folder: Path

    def read(self, name: str) -> Baseline:
        """Read the baseline of a budget.

        Raises:
            BaselineError: There is a file, and it is no whole profile of this version.
        """
        path = self.folder / _file(name)
        data = _bytes(path)
        if data is None:
            return Baseline(path, None, _ABSENT)
        try:
            return Baseline(path, from_json(data.decode("utf-8"), str(path)), _digest(data))
        except (SavedProfileError, UnicodeDecodeError) as error:
            reason = error if isinstance(error, SavedProfileError) else f"{path} is not text"
            msg = f"{reason}; restore it, or delete it and update to accept a new one"
            raise BaselineError(msg) from error

    def accept(self, acceptances: Iterable[Acceptance]) -> None:
        """Write baselines, each whole, where all files are still what they were when they were read.

        Raises:
            BaselineError: Another process wrote one of them since; none is written.
            OutputError: The folder cannot be written.
        """
        accepted = list(acceptances)
        self._make_folder()
        with FileLock(_lock(self.folder), mode=0o666):
            for one in accepted:
                self._refuse_rewritten(one)
            for one in accepted:
                write_whole(self.folder / one.file, one.text)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the folder {self.folder}: {error.strerror}"
            raise OutputError(msg) from error

    def _refuse_rewritten(self, one: Acceptance) -> None:
        path = self.folder / one.file
        data = _bytes(path)
        found = _ABSENT if data is None else _digest(data)
        if found not in {one.digest, _digest(one.text.encode("utf-8"))}:
            msg = f"{path} was written by another process since it was read; nothing is updated, run it again"
            raise BaselineError(msg)


def compact(profile: Profile) -> Profile:
    """Leave out what no limit holds: the arguments of the calls, the course of memory, findings and projections.

    Calls that then are the same are joined.
    """
    calls: Counter[Entry] = Counter()
    for entry in profile.entries:
        record = replace(entry.record, arguments=(), results=(), mutated=(), aliases=(), calls=0)
        calls[replace(entry, record=record)] += entry.record.calls
    entries = (replace(entry, record=replace(entry.record, calls=n)) for entry, n in calls.items())
    memory = replace(profile.memory, timeline=(), measured=None) if profile.memory else None
    return replace(profile, entries=tuple(entries), memory=memory, findings=(), projection=None)


def _file(name: str) -> str:
    """Name the file of a budget or a test; where a sign had to go, with what tells it from another such name.

    Example:
        >>> _file("resnet18"), _file("hf:gpt2")
        ('resnet18.json', 'hf-gpt2-30dd19e0.json')
    """
    plain = re.sub(r"[^\w.+-]+", "-", name).strip("-")
    return f"{plain}.json" if plain == name else f"{plain}-{_digest(name.encode('utf-8'))[:8]}.json"


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise BaselineError(msg) from error


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _lock(folder: Path) -> Path:
    """Place the lock of a folder where it is not taken for a baseline."""
    name = _digest(str(folder.resolve()).encode("utf-8"))[:16]
    return Path(tempfile.gettempdir()) / f"profiler-baselines-{name}.lock"
