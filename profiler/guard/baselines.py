"""Baselines: accepted profiles, one file each, in a folder under version control.

A baseline is a saved profile without details (see ``compact``); ``profiler view`` and ``profiler diff`` read it too.
A file that cannot be read, or that another process wrote since it was read, is never overwritten. A set of baselines is
updated as a whole: if another process wrote one that this one found unchanged, nothing is written either.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.errors import BaselineError, OutputError, SavedProfileError
from profiler.tally.saved import SAVED_HINT, from_json, to_json
from profiler.util.files import locked, write_whole
from profiler.util.json_files import MAX_BYTES, decode_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profiler.tally import Entry, Profile

_ABSENT = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An accepted profile, or the path at which to save the first."""

    path: Path
    #: None if no profile was accepted yet.
    profile: Profile | None
    #: SHA-256 of the file when it was read.
    digest: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A new text for a baseline, and the digest of the file that it replaces."""

    file: str
    digest: str
    text: str

    @classmethod
    def of(cls, baseline: Baseline, profile: Profile) -> Acceptance | None:
        """Return the acceptance of *profile* as a baseline; None if it differs from the old one in versions at most."""
        new = compact(profile)
        if baseline.profile is not None and replace(baseline.profile, versions=new.versions) == new:
            return None
        return cls(baseline.path.name, baseline.digest, to_json(new))


@dataclass(frozen=True, slots=True)
class Baselines:
    """A folder of baselines."""

    folder: Path
    #: File → its digest when it was first read since the last update.
    _read: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def read(self, name: str) -> Baseline:
        """Read the baseline of a budget.

        Raises:
            BaselineError: The file exists, and is not a complete profile of this version.
        """
        path = self.folder / _file(name)
        data = _bytes(path)
        digest = _ABSENT if data is None else _digest(data)
        self.expect(path.name, digest)
        if data is None:
            return Baseline(path, None, digest)
        try:
            text = decode_json(data, path, SavedProfileError, SAVED_HINT)
            return Baseline(path, from_json(text, str(path)), digest)
        except SavedProfileError as error:
            msg = f"{error}; restore it, or delete it and update to accept a new one"
            raise BaselineError(msg) from error

    def expect(self, file: str, digest: str) -> None:
        """Require at the next update that *file* has this digest, if it is not accepted anew; ``read`` does so."""
        self._read.setdefault(file, digest)

    def accept(self, acceptances: Iterable[Acceptance]) -> None:
        """Write baselines, each file whole or not at all, if no file that was read has changed since.

        Raises:
            BaselineError: Another process wrote one of them meanwhile; none is written.
            OutputError: The folder cannot be written.
        """
        accepted = list(acceptances)
        expected = {one.file: {one.digest, _digest(one.text.encode("utf-8"))} for one in accepted}
        unchanged = {file: {digest} for file, digest in self._read.items()}
        self._read.clear()
        self._make_folder()
        with locked(self.folder):
            for file, digests in (unchanged | expected).items():
                self._require_digest(file, digests)
            for one in accepted:
                write_whole(self.folder / one.file, one.text)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the folder {self.folder}: {error.strerror}"
            raise OutputError(msg) from error

    def _require_digest(self, file: str, digests: set[str]) -> None:
        path = self.folder / file
        data = _bytes(path)
        if (_ABSENT if data is None else _digest(data)) not in digests:
            msg = f"{path} was written by another process since it was read; nothing is updated, run it again"
            raise BaselineError(msg)


def compact(profile: Profile) -> Profile:
    """Return the profile without what no limit refers to: arguments of calls, memory timeline, findings, projections.

    Calls that are then equal are merged.
    """
    calls: Counter[Entry] = Counter()
    for entry in profile.entries:
        record = replace(entry.record, arguments=(), results=(), mutated=(), aliases=(), calls=0)
        calls[replace(entry, record=record)] += entry.record.calls
    entries = (replace(entry, record=replace(entry.record, calls=n)) for entry, n in calls.items())
    memory = replace(profile.memory, timeline=(), measured=None) if profile.memory else None
    return replace(profile, entries=tuple(entries), memory=memory, findings=(), projection=None)


def _file(name: str) -> str:
    """Return the file name of a budget or test; if characters were replaced, with a digest that keeps it unique.

    Example:
        >>> _file("resnet18"), _file("hf:gpt2")
        ('resnet18.json', 'hf-gpt2-30dd19e0.json')
    """
    plain = re.sub(r"[^\w.+-]+", "-", name).strip("-")
    return f"{plain}.json" if plain == name else f"{plain}-{_digest(name.encode('utf-8'))[:8]}.json"


def _bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: the name has a null character
        msg = f"cannot read {path}: {getattr(error, 'strerror', error)}"
        raise BaselineError(msg) from error


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
