"""Modules that are imported when they are first used."""

from __future__ import annotations

import sys

import pytest

from profiler.util.lazy_imports import LazyModule

NAME = "profiler_lazy_test"


@pytest.fixture
def _module(tmp_path, monkeypatch):
    (tmp_path / f"{NAME}.py").write_text("__version__ = '1.2'\nvalue = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(NAME, None)


@pytest.mark.usefixtures("_module")
def test_a_module_is_imported_by_the_first_attribute_that_is_read():
    module = LazyModule(NAME)
    assert not hasattr(module, "__wrapped__")
    assert NAME not in sys.modules
    assert (module.__version__, module.value) == ("1.2", 3)
    assert NAME in sys.modules


@pytest.mark.usefixtures("_module")
def test_a_name_that_the_module_lacks_is_missing():
    with pytest.raises(AttributeError, match="nothing"):
        _ = LazyModule(NAME).nothing
