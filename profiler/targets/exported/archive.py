"""The records of an exported program's archive: which there may be, and how each is checked.

Source: torch/export/pt2_archive/_package.py and constants.py; for files of torch 2.7 and before, ``load`` in
torch/export/__init__.py.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from profiler.errors import TargetError
from profiler.targets.exported.payloads import check_pickle
from profiler.targets.exported.schema import check_fields
from profiler.targets.exported.unsafe import UnsafeProgramError, shown
from profiler.util.zip_files import UnsafeZipError, open_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from zipfile import ZipFile

    #: Returns the bytes of a record.
    Read = Callable[[str], bytes]

_WEIGHTS, _CONSTANTS = "data/weights/", "data/constants/"
#: How records are checked, by a pattern of their names; of several that match, the first counts.
_PLAIN, _PROGRAM, _PICKLE, _WEIGHT_LIST, _CONSTANT_LIST, _RAW = (
    "plain",
    "program",
    "pickle",
    "weights",
    "constants",
    "raw",
)
_RECORDS = (
    (r"archive_format|archive_version|byteorder|\.data/\w+|extra/.*|\.format_version|\.storage_alignment", _PLAIN),
    (r"models/.*", _PROGRAM),
    (r"data/sample_inputs/[^/]+\.pt|data/(weights|constants)/[^/]+\.pt", _PICKLE),
    (r"data/weights/[^/]+_weights_config\.json", _WEIGHT_LIST),
    (r"data/constants/[^/]+_constants_config\.json", _CONSTANT_LIST),
    (r"data/weights/weight_\d+|data/constants/tensor_\d+", _RAW),
)
#: The same for an archive of torch 2.7 and before.
_OLD_RECORDS = (
    (r"version|extra_files/.*", _PLAIN),
    (r"serialized_exported_program\.json", _PROGRAM),
    (r"serialized_(state_dict|constants|example_inputs)\.pt", _PICKLE),
)


def check_exported_program(path: Path) -> None:
    """Raise unless loading the file *path* with ``torch.export.load`` only reads data.

    Raises:
        TargetError: It is not a complete zip file, or something in it could run code.
    """
    try:
        with open_zip(path) as archive:
            _check_records(path, archive)
    except UnsafeZipError as error:
        msg = f"{path} is not an exported program (torch.export.save writes one): {error}"
        raise TargetError(msg) from error
    except UnsafeProgramError as error:
        msg = f"{path} could run code when it is loaded: {error}; if you trust its author, add --trust"
        raise TargetError(msg) from error


def _check_records(path: Path, archive: ZipFile) -> None:
    """Check every record, in the bytes that torch's own reader returns: a second reader could see others."""
    names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    root = names[0].partition("/")[0] + "/" if names else ""
    new = [name.removeprefix(root) for name in names if name.startswith(root)]
    if f"{root}archive_version" in names:
        reader = torch._C.PyTorchFileReader(str(path))
        _require_same_records(new, reader.get_all_records())
        _check_each(new, _RECORDS, reader.get_record)
    else:
        new = []
    _check_each([name for name in names if name.removeprefix(root) not in new], _OLD_RECORDS, archive.read)


def _require_same_records(names: list[str], records: list[str]) -> None:
    if sorted(names) != sorted(records):
        msg = "its zip directory reads differently in Python and in torch"
        raise UnsafeProgramError(msg)


def _check_each(names: list[str], kinds: tuple[tuple[str, str], ...], read: Read) -> None:
    for name in names:
        _CHECKS[_kind(name, kinds)](name, read)


def _kind(name: str, kinds: tuple[tuple[str, str], ...]) -> str:
    for pattern, kind in kinds:
        if re.fullmatch(pattern, name):
            return kind
    what = "a compiled library" if name.startswith("data/aotinductor/") else "not part of an exported program"
    msg = f"{shown(name)} is {what}"
    raise UnsafeProgramError(msg)


def _ignore(name: str, read: Read) -> None:
    """Accept a record that torch reads as bytes or text."""


def _check_program(name: str, read: Read) -> None:
    check_fields(_parse(name, read), name)


def _check_payload(name: str, read: Read) -> None:
    check_pickle(read(name), name)


def _check_list(folder: str, name: str, read: Read) -> None:
    """Check the list of weights or constants, and those in it that are pickled."""
    table = _parse(name, read)
    check_fields(table, name)
    for row in table["config"].values():
        record = folder + row["path_name"]
        if row["use_pickle"] and record.startswith((_WEIGHTS, f"{_CONSTANTS}tensor_")):
            check_pickle(read(record), record)
        elif row["use_pickle"] or not record.startswith((_WEIGHTS, f"{_CONSTANTS}tensor_")):
            msg = f"{shown(record)} is a pickled object"
            raise UnsafeProgramError(msg)


def _parse(name: str, read: Read) -> Any:
    return json.loads(read(name).decode("utf-8"))


_CHECKS: dict[str, Callable[[str, Read], None]] = {
    _PLAIN: _ignore,
    _RAW: _ignore,
    _PROGRAM: _check_program,
    _PICKLE: _check_payload,
    _WEIGHT_LIST: partial(_check_list, _WEIGHTS),
    _CONSTANT_LIST: partial(_check_list, _CONSTANTS),
}
