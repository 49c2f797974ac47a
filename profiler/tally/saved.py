"""Save a profile as JSON (schema ``profiler/1``), and load it.

A file holds what a profile stores (``records`` and ``modules``) and, for readers in other languages, what is computed
from it (``totals``, ``phases``, ``operators``, ``uncounted``, the sums of the modules). Loading computes these again,
and rejects a file in which they differ.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from profiler.errors import SavedProfileError, one_line
from profiler.escaping import quoted
from profiler.tally.saved_rows import profile_of, row_of
from profiler.tally.schema import SCHEMA, ProfileRow
from profiler.util.files import write_whole
from profiler.util.json_files import parse_json, read_json_text
from profiler.util.plain_data import first_problem

if TYPE_CHECKING:
    from profiler.tally.profile import Profile

#: What to give instead of a file that is no saved profile.
SAVED_HINT = "a file that `save` or `--format json --output` wrote"


#: Figures of a projection that older versions saved.
_RETIRED = frozenset({"smallest_device"})
#: The figures of a projection that are text.
_TEXTS = frozenset({"device", "precision", "limit", "mode"})
#: A surrogate without its other half.
_HALF = re.compile("[\ud800-\udfff]")


def to_json(profile: Profile) -> str:
    """Return a profile as JSON text; equal profiles give equal text."""
    row = row_of(profile)
    try:
        return row.model_dump_json(by_alias=True, indent=1, exclude_defaults=True) + "\n"
    except PydanticSerializationError:  # a name with half of a character, which no file can hold
        values = row.model_dump(by_alias=True, exclude_defaults=True)
        return _HALF.sub(lambda half: f"\\\\u{ord(half[0]):x}", json.dumps(values, indent=1, ensure_ascii=False)) + "\n"


def from_json(text: str, source: str = "the text") -> Profile:
    """Return the profile in a JSON text; *source* names the text in errors.

    Raises:
        SavedProfileError: The text is no complete profile of this schema, or its totals differ from its records.
    """
    row = _parse(text, source)
    try:
        profile = profile_of(row)
        _require_numbers(profile)
        is_consistent = _as_old_as(row, row_of(profile)) == row
    except Exception as error:  # modules without their parent, a path that occurs twice …
        msg = f"{source} is not a consistent profile ({one_line(error)}); save it anew"
        raise SavedProfileError(msg) from error
    if not is_consistent:
        msg = f"{source} was changed after it was saved: its totals are not the sums of its records; save it anew"
        raise SavedProfileError(msg)
    return profile


def _as_old_as(row: ProfileRow, computed: ProfileRow) -> ProfileRow:
    """Return what was computed, without the tables that the file lacks because it is from before they were there."""
    missing = [name for name in ("communication", "upper_bounds") if not getattr(row, name)]
    return computed.model_copy(update={name: [] for name in missing})


def _require_numbers(profile: Profile) -> None:
    """Raise a ``ValueError`` if a figure of the projection that is a number holds text."""
    projection = profile.projection
    if projection is None:
        return
    figures = {name: figure for name, figure in projection.figures.items() if name not in _TEXTS}
    what_ifs = [figure for row in projection.what_if for figure in (row.weight_bytes, row.bound_s, row.estimate_s)]
    for figure in (*figures.values(), *what_ifs):
        float(figure.value)


def save(profile: Profile, path: str | Path) -> None:
    """Write a profile to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_whole(Path(path), to_json(profile))


def load(path: str | Path) -> Profile:
    """Load a saved profile.

    Args:
        path: A file that ``Profile.save`` or ``profiler MODEL --format json --output FILE`` wrote.

    Raises:
        SavedProfileError: The file is missing, is not a profile, or has another schema.

    Example:
        >>> import profiler, tempfile, torch
        >>> p = profiler.count(torch.nn.Linear(4, 4, device="meta"), torch.empty(1, 4, device="meta"))
        >>> with tempfile.NamedTemporaryFile(suffix=".json") as file:
        ...     p.save(file.name)
        ...     profiler.load(file.name) == p
        True
    """
    return from_json(read_json_text(path, SavedProfileError, SAVED_HINT), str(path))


def _parse(text: str, source: str) -> ProfileRow:
    document = parse_json(text, source, SavedProfileError)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        found = f"schema {quoted(schema)}" if schema is not None else "no schema"
        msg = f"{source} is not a saved profile: it has {found}, and this version reads {SCHEMA!r}"
        raise SavedProfileError(msg)
    projection = document.get("projection")
    if isinstance(projection, dict) and _RETIRED & projection.keys():
        text = json.dumps(document | {"projection": {k: v for k, v in projection.items() if k not in _RETIRED}})
    try:
        return ProfileRow.model_validate_json(text)
    except ValidationError as error:
        msg = f"{source} is not a complete profile: {first_problem(error)}"
        raise SavedProfileError(msg) from error
