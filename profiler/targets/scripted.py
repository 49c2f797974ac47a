"""Check a file of ``torch.jit.save`` before torch loads it.

TorchScript can call operators, but no Python. Two of them reach files: ``torch.save`` and ``torch.from_file``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from profiler.errors import TargetError
from profiler.util.zip_files import UnsafeZipError, open_zip

if TYPE_CHECKING:
    from pathlib import Path

_REACHES_FILES = re.compile(rb"\b(?:torch|aten)\s*\.\s*(?:save|from_file)\b")


def check_scripted_module(path: Path) -> None:
    """Raise unless the file *path* is a zip file whose TorchScript leaves other files alone.

    Raises:
        TargetError: It is not a complete zip file, or its code reads or writes files.
    """
    try:
        with open_zip(path) as archive:
            code = [entry for entry in archive.infolist() if entry.filename.endswith(".py")]
            reaching = [entry.filename for entry in code if _REACHES_FILES.search(archive.read(entry))]
    except UnsafeZipError as error:
        msg = f"{path} is not a scripted module (torch.jit.save writes one): {error}"
        raise TargetError(msg) from error
    if reaching:
        what = f"{reaching[0]} writes or memory-maps a file"
        msg = f"{path} could write files when it runs: {what}; if you trust its author, add --trust"
        raise TargetError(msg)
