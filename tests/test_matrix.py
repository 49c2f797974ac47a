"""``scripts/matrix``: its table, with interpreters that exist already, and what it says of a version that does not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent.parent / "scripts" / "matrix"


def matrix(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


@pytest.fixture
def tests(tmp_path):
    path = tmp_path / "test_three.py"
    path.write_text(
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert False\n@pytest.mark.skip\ndef test_none(): pass\n"
    )
    return path


def test_each_version_is_a_row_with_its_numbers_and_a_failure_decides_the_status(tests):
    done = matrix(sys.executable, "--", tests)
    head, row = done.stdout.splitlines()[-2:]
    assert head.split() == ["torch", "python", "passed", "failed", "skipped"]
    assert row.split() == [torch.__version__, platform.python_version(), "1", "1", "1"]
    assert done.returncode == 1


def test_a_version_that_cannot_be_installed_is_skipped_with_the_reason(tmp_path):
    done = matrix("0.0.7", MATRIX_DIR=str(tmp_path), PIP_NO_INDEX="1")
    assert done.stdout.splitlines()[-1].startswith("0.0.7")
    assert "skipped: " in done.stdout
    assert done.returncode == 1


def test_a_python_that_is_not_there_is_skipped_with_the_reason(tmp_path):
    done = matrix("3.99:2.15.0", MATRIX_DIR=str(tmp_path))
    assert done.stdout.splitlines()[-1].split() == [
        "3.99:2.15.0",
        "0",
        "0",
        "0",
        *"skipped: there is no python3.99".split(),
    ]
    assert done.returncode == 1


def test_what_is_no_version_is_refused():
    done = matrix("newest")
    assert done.stderr.startswith("'newest' is neither a version such as 2.15.0 or 3.13:2.15.0 nor an interpreter")
    assert done.returncode == 2
