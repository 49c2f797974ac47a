"""Pickled records: tensors and plain containers are data; any other object runs code when it is unpickled."""

from __future__ import annotations

import re
import warnings
from io import BytesIO
from pickle import UnpicklingError

import torch

from profiler.errors import one_line
from profiler.targets.exported.unsafe import UnsafeProgramError, shown
from profiler.util.zip_files import UnsafeZipError, open_zip

_GLOBAL = re.compile(r"GLOBAL (\S+)")


def check_pickle(data: bytes, name: str) -> None:
    """Raise unless a file of ``torch.save`` holds only what torch's restricted unpickler reads.

    torch unpickles the same bytes without restriction, and then makes the same calls.

    Args:
        data: The record; empty if there is nothing to load.
        name: The record's name, for the message.

    Raises:
        UnsafeProgramError: It holds other objects, or is no file of ``torch.save``.
    """
    if not data:
        return
    try:
        with open_zip(BytesIO(data)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates its own storages
            torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        msg = f"{shown(name)} contains pickled objects" + (f" ({found[1][:80]})" if found else "")
        raise UnsafeProgramError(msg) from error
    except UnsafeZipError as error:
        msg = f"{shown(name)} cannot be read without unpickling it: {error}"
        raise UnsafeProgramError(msg) from error
    except Exception as error:
        msg = f"{shown(name)} cannot be read without unpickling it ({one_line(error)})"
        raise UnsafeProgramError(msg) from error
