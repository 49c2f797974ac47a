"""Written files: whole or not at all, and nothing but a regular file is replaced."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from profiler.errors import OutputError
from profiler.util import files
from profiler.util.files import write_whole


@pytest.fixture(autouse=True, params=["named", "unnamed"])
def temporary_files(request, monkeypatch):
    """Run each test with the files without names of Linux, and without."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def test_a_file_is_written_in_utf_8(tmp_path):
    write_whole(tmp_path / "x.txt", "1×2\n")
    assert (tmp_path / "x.txt").read_bytes() == b"1\xc3\x972\n"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_a_new_file_has_the_mode_that_open_would_give_it(tmp_path):
    (tmp_path / "other").write_text("")
    write_whole(tmp_path / "x.txt", "a")
    assert (tmp_path / "x.txt").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o666])
def test_a_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "x.txt"
    path.write_text("old")
    path.chmod(mode)
    write_whole(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_keeps_its_owner_and_group(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    write_whole(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def test_a_private_file_is_private_while_it_is_written(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")
    path.chmod(0o600)
    modes = []
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: modes.append(os.fstat(descriptor).st_mode & 0o777))
    write_whole(path, "new")
    assert modes == [0o600]


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path, exists):
    (tmp_path / "folder").mkdir()
    real, link, chain = tmp_path / "folder" / "real", tmp_path / "link", tmp_path / "chain"
    if exists:
        real.write_text("old")
    link.symlink_to("folder/real")
    chain.symlink_to("link")
    write_whole(chain, "new")
    assert (chain.is_symlink(), link.is_symlink(), real.is_symlink(), real.read_text()) == (True, True, False, "new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["chain", "folder", "link", "real"]


def test_a_fifo_is_written_to(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_whole(fifo, "through")
    reader.join(10)
    assert (read, stat.S_ISFIFO(fifo.stat().st_mode)) == (["through"], True)


def make_device(path, minor):
    """Make a device of our own: a mistake must not replace that of the machine."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        path.open("wb").close()
    except OSError:
        pytest.skip("no device can be made or opened here")


def test_a_fifo_that_nobody_reads_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("profiler.util.files._READER_S", 0.1)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OutputError, match=r"fifo: nobody reads this FIFO"):
        write_whole(tmp_path / "fifo", "x")
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_a_device_stays_a_device(tmp_path):
    make_device(tmp_path / "null", 3)
    write_whole(tmp_path / "null", "gone")
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


def test_a_full_disk_is_one_line(tmp_path):
    make_device(tmp_path / "full", 7)
    with pytest.raises(OutputError, match=r"^cannot write .*full: No space left on device$"):
        write_whole(tmp_path / "full", "x" * 100_000)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match="No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none/x", "No such file or directory; choose a folder that exists and can be written"),
        ("folder", "Is a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("file/x", "Not a directory; choose a folder"),
        ("a\0b", "embedded null"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_one_line(tmp_path, path, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError) as caught:
        write_whole(tmp_path / path, "x")
    assert f": {reason}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_possible_name_can_be_written(tmp_path):
    write_whole(tmp_path / ("n" * 255), "x")
    assert (tmp_path / ("n" * 255)).read_text() == "x"


def test_a_file_that_is_read_only_is_left(tmp_path, monkeypatch):
    path = tmp_path / "x.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anything
    with pytest.raises(OutputError, match="it is read-only"):
        write_whole(path, "new")
    assert path.read_text() == "old"


COMMAND = [sys.executable, "-m", "profiler", "devices", "h100-sxm", "--format", "json"]
WRITE = """
import sys
from pathlib import Path
from profiler.util.files import write_whole
print("before", flush=True)
write_whole(Path(sys.argv[1]), "written\\n")
print("after", flush=True)
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_stream_of_this_process_is_written_in_its_order(tmp_path, name):
    if not Path(name).exists():
        pytest.skip("this platform has no such name")
    command = [sys.executable, "-c", WRITE, name]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "before\nwritten\nafter\n"
    with (tmp_path / "out").open("w") as file:
        subprocess.run(command, stdout=file, check=True)
    assert (tmp_path / "out").read_text() == "before\nwritten\nafter\n"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_full_stdout_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("this platform has no full device")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "error: cannot write to stdout: No space left on device\n")


def test_a_killed_writer_leaves_no_half_file_and_nothing_after_the_next_write(tmp_path):
    path, texts = tmp_path / "x.json", ("a" * 500_000, "b" * 500_000)
    write_whole(path, texts[0])
    for i in range(40):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside torch's threads
            child = os.fork()
        if not child:
            while True:
                write_whole(path, texts[i % 2])
        time.sleep(0.002 + random.random() * 0.02)  # noqa: S311 - no secret
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert path.read_text() in texts
    write_whole(path, "end")
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_writers_of_one_file_do_not_remove_the_temporary_files_of_each_other(tmp_path):
    path, errors = tmp_path / "x.json", []

    def work(text):
        try:
            for _ in range(200):
                write_whole(path, text * 1000)
        except OutputError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert path.read_text() in {text * 1000 for text in "abcd"}
    assert list(tmp_path.iterdir()) == [path]


def test_without_locks_no_file_is_renamed_while_it_is_open_as_on_windows(tmp_path, monkeypatch):
    renamed, replace = [], Path.replace

    def replace_closed(self, target):
        if self.parent == tmp_path:  # /proc/self/fd has every open file of this process
            opened = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
            renamed.append(str(self) in opened)
        return replace(self, target)

    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(Path, "replace", replace_closed)
    for text in ("one\n", "two\n"):
        write_whole(tmp_path / "x.txt", text)
        assert (tmp_path / "x.txt").read_bytes() == text.encode()
    assert renamed == [False, False]
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_file_is_opened_for_bytes_where_that_makes_a_difference_as_on_windows(tmp_path, monkeypatch):
    binary, flags, opened = 1 << 30, [], os.open

    def open_it(path, flag, *mode, **options):
        flags.append(flag)
        return opened(path, flag & ~binary, *mode, **options)

    monkeypatch.setattr(files, "_BINARY", binary)
    monkeypatch.setattr(os, "open", open_it)
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    write_whole(tmp_path / "x.txt", "a\n")
    write_whole(Path(os.devnull), "a\n")
    assert len(flags) == 2
    assert all(flag & binary for flag in flags)
