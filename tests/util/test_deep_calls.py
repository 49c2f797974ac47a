"""A function that recurses deeply is called on a thread with a stack for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from profiler.util.deep_calls import call_deep

PROGRAM = """
from profiler.util.deep_calls import call_deep

def depth(n):
    return 1 + depth(n - 1) if n else 0

print(call_deep(lambda: depth(20_000)))
"""


def test_a_function_can_call_itself_more_often_than_python_allows_by_default():
    """In a process that has compiled nothing: torch's compiler changes how Python calls functions."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "20000\n"


def test_what_it_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        call_deep(lambda: 1 / 0)
