"""Read the inputs of a model from a file of ``torch.save``, without running code.

    torch.save({"input_ids": ids, "pixel_values": image}, "batch.pt")   # profiler my.py:net --input-file batch.pt

The file holds tensors, numbers, strings, and lists, tuples and dicts of them.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from profiler.errors import InputError, one_line
from profiler.units import size as size_text
from profiler.util.text_files import is_file
from profiler.util.zip_files import UnsafeZipError, open_zip

#: What marks a file among input specifications.
FILE_MARK = "@"
#: The largest file that is read.
_LARGEST = 2**30
_PLAIN = "save tensors, numbers, strings, and lists, tuples and dicts of them with torch.save"
_CLASS = re.compile(r"GLOBAL (\S+)")


def is_input_file(text: str) -> bool:
    """Return whether an input specification names a file, as ``@batch.pt`` does."""
    return text.startswith(FILE_MARK)


def read_input_file(path: Path) -> Any:
    """Return what a file holds, with its tensors on the CPU.

    Raises:
        InputError: There is no such file, it is larger than 1 GiB or damaged, or it holds objects of other classes,
            which could run code.
    """
    _check_file(path)
    try:
        with warnings.catch_warnings():  # of storages that torch deprecates
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = _CLASS.search(str(error))
        what = f"an object of {found[1].rstrip('.')}" if found else "more than plain values"
        msg = f"{path} holds {what}, and no code of a file is run; {_PLAIN}"
        raise InputError(msg) from error
    except Exception as error:  # a damaged pickle raises anything
        msg = f"{path} cannot be read ({one_line(error)}); {_PLAIN}"
        raise InputError(msg) from error


def _check_file(path: Path) -> None:
    if not is_file(path):
        msg = f"there is no input file {str(path)!r}; {_PLAIN}"
        raise InputError(msg)
    if path.stat().st_size > _LARGEST:
        msg = f"{path} has {size_text(path.stat().st_size)}; an input file has at most {size_text(_LARGEST)}"
        raise InputError(msg)
    try:
        open_zip(path).close()
    except UnsafeZipError as error:
        msg = f"{path} is not a file of torch.save: {error}; {_PLAIN}"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read ({one_line(error)})"
        raise InputError(msg) from error
