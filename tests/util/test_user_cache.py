"""The cache in the user's cache folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from profiler.util.user_cache import cache_folder, installed_code, read_cached, update_cached, write_cached


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_result_is_found_again_under_its_key_alone():
    write_cached("numbers", "old", [1, {"a": None}])
    assert read_cached("numbers", "old") == [1, {"a": None}]
    assert read_cached("numbers", "new") is None
    assert read_cached("others", "old") is None


@pytest.mark.parametrize("text", ["", "[1", "[]", '{"key": "old"}', "\0"])
def test_a_file_that_holds_no_result_is_as_good_as_none(text):
    cache_folder().mkdir()
    (cache_folder() / "numbers.json").write_text(text)
    assert read_cached("numbers", "old") is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write_cached("numbers", "old", 1)
    assert read_cached("numbers", "old") is None


def test_the_key_of_the_installed_code_is_that_of_one_process():
    assert installed_code() == installed_code()
    assert len(installed_code()) == 64


def test_no_update_loses_another(tmp_path):
    def add(number):
        update_cached("folder/numbers", "key", lambda known: sorted([*(known or []), number]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert read_cached("folder/numbers", "key") == [*range(40)]
    assert [path.name for path in (tmp_path / "profiler" / "folder").iterdir()] == ["numbers.json"]
