"""Garbage is not looked for among the objects of large packages, and a user's process is left as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
from multiprocessing import get_all_start_methods

import pytest

from profiler.util.quick_imports import import_quickly, quick_imports

PROGRAM = """
import gc, sys
at_start = gc.get_freeze_count()  # what Python itself leaves out: nothing, except in 3.12
from profiler.cli import main
words = sys.argv.pop()
status = main() if words == "of the process" else main(sys.argv[1:])
left_out = gc.get_freeze_count() - at_start
print("left out" if left_out > 50_000 else left_out, gc.isenabled(), file=sys.stderr)
sys.exit(status)
"""


@pytest.fixture
def collections():
    """Return the generations of the collections since the test began."""
    generations = []

    def note(phase, info):
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)


def make_objects():
    return [[] for _ in range(50_000)]


def test_nothing_is_collected_meanwhile(collections):
    make_objects()
    assert collections
    collections.clear()
    left_out = gc.get_freeze_count()  # by an earlier test in this process, maybe
    with quick_imports():
        make_objects()
        assert not collections
    assert gc.isenabled()
    assert gc.get_freeze_count() == left_out


def test_collections_go_on_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError):
        import_quickly("no_such_module")
    assert gc.isenabled()


def test_collections_that_the_user_has_disabled_stay_so():
    gc.disable()
    try:
        import_quickly("json")
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("words", "left"), [("of the process", "left out True"), ("given", "0 True")])
def test_only_a_process_of_our_own_leaves_imports_out_of_later_collections(words, left):
    command = [sys.executable, "-c", PROGRAM, "torch.nn:Identity", "--input", "4", words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == left


PROCESSES = """
import gc
from concurrent.futures import ProcessPoolExecutor
from profiler.util.processes import context_with_imports
with ProcessPoolExecutor(1, context_with_imports(["decimal", "no_such_module"])) as pool:
    print(pool.submit(gc.get_freeze_count).result() > 0, pool.submit(gc.isenabled).result())
"""


@pytest.mark.skipif("forkserver" not in get_all_start_methods(), reason="processes import by themselves")
def test_processes_leave_what_was_imported_before_they_began_out_of_collections():
    done = subprocess.run([sys.executable, "-c", PROCESSES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
