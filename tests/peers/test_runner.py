"""Whatever a peer's process does, it yields a result or a failure, and does not affect the calling process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from profiler.errors import ModelError
from profiler.peers import PeerFailure, PeerResult, PickledModel, WorkerPool, run_peer, run_peers


def make():
    return nn.Linear(3, 4), (torch.ones(2, 3),), {}


def noisy():
    sys.stdout.write("to stdout\n")
    sys.stderr.write("to stderr\n")
    os.write(1, b"below Python\n")
    return make()


def leaving():
    sys.stdout.write("before I go\n")
    sys.exit(7)


def dying():
    warnings.warn("an old habit", FutureWarning, stacklevel=1)
    os.abort()


def reading():
    assert os.read(0, 1) == b""
    return make()


def closing_everything():
    os.closerange(3, 1000)
    time.sleep(300)


def as_wide_as_there_are_threads():
    threads = torch.get_num_threads()
    return nn.Linear(threads, 1), (torch.ones(1, threads),), {}


def raising():
    msg = "no such weights"
    raise OSError(msg)


def stay(path):
    for _ in range(3000):
        with Path(path).open("a") as file:
            file.write(".")
        time.sleep(0.1)


def test_answers_come_with_their_numbers_and_a_failure_takes_no_other_with_it(capfd):
    makes = (make, dying, noisy, leaving, raising, reading)
    models = [PickledModel(m) for m in makes]
    for model in models:
        model.__enter__()
    try:
        answers = dict(run_peers([("flop_counter", model) for model in models], max_workers=2))
    finally:
        for model in models:
            model.__exit__(None, None, None)
    assert answers[0] == answers[2] == answers[5] == PeerResult(48, {"": 48})
    assert answers[1] == PeerFailure("killed by SIGABRT")
    assert answers[3] == PeerFailure("exit status 7: before I go")
    assert answers[4].error.startswith("exit status 1: OSError: no such weights")
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_started_every_peer_has_failed(monkeypatch, capfd):
    monkeypatch.setattr(sys.modules["profiler.peers.worker_pool"], "_PROCESS", "profiler.nowhere")
    with PickledModel(make) as model:
        answers = dict(run_peers([("flop_counter", model), ("thop", model)]))
    assert list(answers) == [0, 1]
    assert all(
        answer.error.startswith("exit status 1: ") and "profiler.nowhere" in answer.error for answer in answers.values()
    )
    assert capfd.readouterr() == ("", "")


def test_a_peer_that_hangs_is_given_up():
    start = time.monotonic()
    with PickledModel(lambda: time.sleep(300)) as model:
        assert run_peer("flop_counter", model, timeout_s=0.5) == PeerFailure("no result within 0.5 s")
    assert time.monotonic() - start < 60


def test_a_worker_that_closes_its_pipe_and_hangs_is_killed():
    start = time.monotonic()
    with PickledModel(closing_everything) as model:
        assert run_peer("flop_counter", model).error.startswith("killed by SIGKILL")
    assert time.monotonic() - start < 60


@pytest.mark.skipif(os.cpu_count() == 1, reason="there is one core")
def test_workers_that_run_at_the_same_time_share_the_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with PickledModel(as_wide_as_there_are_threads) as model:
        jobs = [("flop_counter", model)]
        for workers, threads in ((1, 2), (2, 1), (8, 1)):
            assert dict(run_peers(jobs, max_workers=workers)) == {0: PeerResult(2 * threads, {"": 2 * threads})}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module, and the file to which it appends a line when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, rest=""):
        log = tmp_path / f"{name}.log"
        log.touch()
        lines = f"with open({str(log)!r}, 'a') as file:\n    file.write('imported\\n')\n"
        (tmp_path / f"{name}.py").write_text(lines + textwrap.dedent(rest))
        return log

    return write


def importing(*names):
    for name in names:
        __import__(name)
    return make()


def test_a_pool_imports_before_it_knows_the_model_and_once_for_all_its_workers(module):
    log = module("imported_early", "print('a line on stdout, where the results are written')")
    with WorkerPool(["no_such_module", "imported_early"]) as pool:
        end = time.monotonic() + 60
        while not log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        with PickledModel(partial(importing, "imported_early")) as model:
            for _ in range(2):  # runs of one pool
                answers = dict(run_peers([("flop_counter", model)] * 3, pool=pool, max_workers=2))
                assert answers == dict.fromkeys(range(3), PeerResult(48, {"": 48}))
        assert pool.is_running
    assert not pool.is_running
    assert log.read_text() == "imported\n"


def test_a_module_that_cannot_be_imported_early_fails_the_workers_that_need_it_alone(module):
    module("leaves", "raise SystemExit(3)")
    module("raises", "raise ValueError('no good')")
    with (
        WorkerPool(["leaves", "raises"]) as pool,
        PickledModel(make) as good,
        PickledModel(partial(importing, "raises")) as bad,
    ):
        answers = dict(run_peers([("flop_counter", good), ("flop_counter", bad)], pool=pool))
    assert answers[0] == PeerResult(48, {"": 48})
    assert answers[1].error == "exit status 1: ValueError: no good"


def test_what_was_imported_here_meanwhile_is_imported_once_too(module, monkeypatch):
    log = module("imported_late")
    monkeypatch.setattr(sys.modules["profiler.peers.worker_pool"], "_SLOW_IMPORTS", ("imported_late",))
    with WorkerPool() as pool, PickledModel(partial(importing, "imported_late")) as model:
        __import__("imported_late")
        answers = dict(run_peers([("flop_counter", model)] * 3, pool=pool))
    del sys.modules["imported_late"]
    assert answers == dict.fromkeys(range(3), PeerResult(48, {"": 48}))
    assert log.read_text() == "imported\n" * 2  # here, and in the pool


def test_the_jobs_of_a_killed_pool_have_failed():
    with WorkerPool() as pool, PickledModel(make) as model:
        pool.kill()
        answers = dict(run_peers([("flop_counter", model), ("thop", model)], pool=pool))
        assert not pool.is_running
    assert answers == dict.fromkeys(range(2), PeerFailure("killed by SIGKILL"))


def stops_growing(file, within_s):
    """Return whether a file to which a process keeps appending stays unchanged for a second, within a time limit."""
    end, size, since = time.monotonic() + within_s, None, time.monotonic()
    while time.monotonic() < end:
        now = file.stat().st_size if file.exists() else None
        if now != size:
            size, since = now, time.monotonic()
        if time.monotonic() - since > 1:
            return True
        time.sleep(0.1)
    return False


def test_answers_that_nobody_waits_for_end_with_the_question(tmp_path):
    start = time.monotonic()
    stays = tmp_path / "stays"
    with WorkerPool() as pool, PickledModel(make) as quick, PickledModel(partial(stay, str(stays))) as slow:
        for _ in run_peers([("flop_counter", slow), ("flop_counter", quick)], pool=pool, max_workers=2):
            break
        assert time.monotonic() - start < 60
        assert stops_growing(stays, within_s=20)


def test_a_model_that_cannot_be_pickled_is_refused():
    running = (number for number in range(3))
    with pytest.raises(ModelError, match="cannot be sent to another process"), PickledModel(lambda: running):
        pass


def test_a_script_without_a_guard_runs_once_and_its_own_modules_are_found(tmp_path):
    (tmp_path / "nets.py").write_text("from torch import nn\n\n\nclass Net(nn.Linear):\n    pass\n")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""\
            import nets, profiler, torch
            model = nets.Net(3, 4)
            with profiler.profile(model) as p:
                model(torch.ones(2, 3))
            (total,) = [f for f in p.compare("flop_counter") if f.claim.subject == "total"]
            print("claimed", total.claim.claimed)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "claimed 48\n"
