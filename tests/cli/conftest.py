"""Fixtures of the command-line tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder with ``nets.py``, whose source is the ``NETS`` of the test's module."""
    (tmp_path / "nets.py").write_text(request.module.NETS)
    monkeypatch.chdir(tmp_path)
    return tmp_path
