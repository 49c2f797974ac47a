"""A command that is interrupted, terminated or killed while peers run leaves no process and no file behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
MODEL = """
import os, time
from pathlib import Path
from torch import nn

class Slow(nn.Linear):
    def forward(self, x):
        if os.getppid() != int(os.environ["STARTED_BY"]):  # in a peer, not in the command
            (Path(os.environ["RUNNING"]) / str(os.getpid())).touch()
            time.sleep(300)
        return super().forward(x)

def net():
    return Slow(4, 4)
"""
SLOW = """
import os, time
from pathlib import Path

(Path(os.environ["RUNNING"]) / "imports").touch()
time.sleep(300)
"""
CLAIMS = 'title = "t"\nlanguage = "en"\norigin = "o"\n' + "".join(
    f"""
[[claims]]
id = "claim-{i}"
says = "A peer counts 16."
kind = "fact"
unit = "MAC"
printed = "16"
measures.ours = {{ target = "nets:net", peer = "{peer}", input = ["4"] }}
"""
    for i, peer in enumerate(["thop", "fvcore", "ptflops", "thop", "fvcore", "ptflops", "flop_counter"])
)


def processes(marker):
    """Return the processes whose environment has the marker, except those that have ended and wait for their parent."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found.append((int(folder.name), (folder / "cmdline").read_bytes()[:200]))
        except OSError:
            continue
    return found


def wait_until(condition, within_s):
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a command and waits, by default until a peer runs the model."""
    (tmp_path / "nets.py").write_text(MODEL)
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "claims.toml").write_text(CLAIMS)
    temporary, running = Path(tempfile.mkdtemp(prefix="t-")), tmp_path / "running"  # a socket's path must be short
    running.mkdir()
    marker = f"MARKER={os.getpid()}-{time.time_ns()}"
    environment = os.environ | {"TMPDIR": str(temporary), "RUNNING": str(running), "STARTED_BY": str(os.getpid())}
    environment |= dict([marker.split("=")])
    started = []

    def start(*words, until=lambda: list(running.iterdir())):
        process = subprocess.Popen(
            [sys.executable, "-m", "profiler", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert wait_until(lambda: until() or process.poll() is not None, 90), "no peer has started"
        return process, marker, temporary

    start.marker = marker
    yield start
    for process in started:
        process.kill()
        process.communicate()
    for pid, _ in processes(marker):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(temporary)


AGAINST = ("nets:net", "--input", "4", "--against", "thop,fvcore", "-q")
VERIFY = ("verify", "claims.toml", "-q")


@pytest.mark.parametrize(
    "words", [pytest.param(AGAINST, id="against"), pytest.param(VERIFY, id="verify", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGTERM, 143, "error: terminated\n"),
        (signal.SIGINT, 130, "error: interrupted\n"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_nothing_is_left(start, words, number, status, message):
    process, marker, temporary = start(*words)
    assert process.poll() is None, process.stderr.read()
    assert len(processes(marker)) > 2
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == status
    assert error == message or number == signal.SIGKILL  # then multiprocessing may say what it removed
    assert wait_until(lambda: not processes(marker), 10), processes(marker)
    left = [] if number != signal.SIGKILL else ["pymp-"]  # multiprocessing's own: the command cannot remove it
    assert wait_until(lambda: not [p for p in temporary.iterdir() if p.name[:5] not in left], 2), list(
        temporary.iterdir()
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_is_left_of_a_command_that_ends_before_its_model_is_there(start, number, status):
    process, marker, temporary = start("slow:net", *AGAINST[1:])
    assert process.poll() is None, process.stderr.read()
    assert any(b"pool_process" in line for _, line in processes(marker))
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == status
    assert wait_until(lambda: not processes(marker), 10), processes(marker)
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_nothing_is_left_of_a_command_that_is_killed_while_all_import(start, delay_s):
    def imports():
        return any(b"pool_process" in line for _, line in processes(start.marker))

    process, marker, temporary = start(*AGAINST, until=imports)
    time.sleep(delay_s)
    process.kill()
    process.communicate(timeout=30)
    assert wait_until(lambda: not processes(marker), 20), processes(marker)
    assert not list(temporary.iterdir())


def test_nothing_is_left_where_the_model_has_no_such_name(start):
    process, marker, temporary = start("nets:nte", "--against", "fvcore", "-q", until=lambda: False)
    assert process.returncode == 2
    assert "nte" in process.stderr.read()
    assert wait_until(lambda: not processes(marker), 5), processes(marker)
    assert not list(temporary.iterdir())
