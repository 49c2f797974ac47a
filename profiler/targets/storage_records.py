"""Compare the storages of a file of ``torch.jit.save`` with the records that hold their bytes.

torch takes the length of a storage from the file's pickle, and reads a shorter record past its end: at worst the
process is killed.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from profiler.errors import TargetError, one_line
from profiler.util.zip_files import UnsafeZipError, open_zip

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO
    from zipfile import ZipFile

#: A reference to a storage in a pickle: the word "storage", its class, its record, its device, its elements.
_REFERENCE_FIELDS = 5


class _Storage(NamedTuple):
    """A storage as a pickle describes it."""

    record: str
    nbytes: int


class _Inert:
    """Stands for every object of a pickle, and does nothing that the pickle asks of it."""

    def __new__(cls, *_: object) -> _Inert:  # noqa: PYI034 - of a class made for each name
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        """Take any arguments."""

    def __setstate__(self, _: object) -> None:
        """Take any state."""

    def __setitem__(self, key: object, value: object) -> None:
        """Take any item."""

    def append(self, _: object) -> None:
        """Take any element."""


class _StorageReader(pickle.Unpickler):
    """Collects the storages that a pickle refers to; makes no other object, and imports nothing."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: list[_Storage] = []

    def find_class(self, module: str, name: str) -> type[_Inert]:  # noqa: ARG002 - the signature is pickle's
        return type(name, (_Inert,), {})

    def persistent_load(self, pid: Any) -> _Inert:
        if isinstance(pid, tuple) and len(pid) == _REFERENCE_FIELDS:
            _, kind, record, _, elements = pid
            self.storages.append(_Storage(str(record), int(elements) * _item_bytes(kind.__name__)))
        return _Inert()


def check_storages(path: Path) -> None:
    """Raise unless every storage of a file of ``torch.jit.save`` has a record with all of its bytes.

    Raises:
        TargetError: It is not a complete zip file, its pickles cannot be read, or a record is missing or too short.
    """
    try:
        with open_zip(path) as archive:
            damaged = _damage(archive)
    except UnsafeZipError as error:
        damaged = str(error)
    except Exception as error:  # noqa: BLE001 - whatever a damaged pickle makes of itself
        damaged = f"its objects cannot be read ({one_line(error)})"
    if damaged:
        msg = f"{path} is not a scripted module (torch.jit.save writes one): {damaged}"
        raise TargetError(msg)


def _damage(archive: ZipFile) -> str:
    """Return what is wrong with the first record that does not hold its storage."""
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    for name in sizes:
        if not name.endswith(".pkl"):
            continue
        folder = name.removesuffix(".pkl")  # data.pkl refers to data/0
        with archive.open(name) as file:
            reader = _StorageReader(file)  # type: ignore[arg-type] # what it reads of, a ZipExtFile has
            reader.load()
        for storage in reader.storages:
            held = sizes.get(f"{folder}/{storage.record}", 0)
            if held < storage.nbytes:
                return f"{folder}/{storage.record} holds {held} of {storage.nbytes} bytes"
    return ""


def _item_bytes(kind: str) -> int:
    """Return the bytes of an element of torch's storage class *kind*; at least 1, for a class that torch lacks."""
    dtype = getattr(getattr(torch, kind, None), "dtype", torch.uint8)
    return dtype.itemsize if isinstance(dtype, torch.dtype) else 1
