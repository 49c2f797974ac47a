"""The hook that calls a function once a module has been imported."""

from __future__ import annotations

import importlib
import sys

import pytest

from profiler.trace.force_eager import _ImportHook


@pytest.fixture
def awaited(tmp_path, monkeypatch):
    """Return a function that imports a module, whether its hook has called, and what stays of the hook."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(name):
        calls = []
        hook = _ImportHook(name, lambda: calls.append(hasattr(sys.modules[name], "value")))
        sys.meta_path.insert(0, hook)
        try:
            importlib.import_module(name)
        finally:
            sys.modules.pop(name, None)
            assert hook not in sys.meta_path
        return calls

    return run


def test_it_calls_after_the_module_has_run(tmp_path, awaited):
    (tmp_path / "awaited_module.py").write_text("value = 7\n")
    assert awaited("awaited_module") == [True]


def test_a_folder_without_code_is_imported(tmp_path, awaited):
    (tmp_path / "awaited_folder").mkdir()
    awaited("awaited_folder")


def test_a_module_that_does_not_exist_is_not_found(awaited):
    with pytest.raises(ModuleNotFoundError, match="awaited_nothing"):
        awaited("awaited_nothing")
