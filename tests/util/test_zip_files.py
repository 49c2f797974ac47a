"""Zip files that are damaged, or made to mislead a reader."""

from __future__ import annotations

import io
import warnings
import zipfile

import pytest

from profiler.util.zip_files import UnsafeZipError, open_zip


def archive(*entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that occurs twice
        for name, data in entries:
            file.writestr(name, data)
    return buffer.getvalue()


def problem(data):
    with pytest.raises(UnsafeZipError) as caught:
        open_zip(io.BytesIO(data))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plain_archive_is_opened():
    with open_zip(io.BytesIO(archive(("a/b", b"1"), ("a/c", b"2")))) as file:
        assert file.read("a/c") == b"2"


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(data):
    assert "not a complete zip file" in problem(data)


@pytest.mark.parametrize("length", range(1, 240, 7))
def test_an_archive_that_is_cut_short_is_refused(length):
    whole = archive(("a/b", b"1" * 50), ("a/c", b"2" * 50))
    assert "not a complete zip file" in problem(whole[:length])


@pytest.mark.parametrize("place", range(0, 330, 3))
def test_a_changed_byte_ends_in_no_other_error(place):
    data = bytearray(archive(("a/b", b"1" * 50), ("a/c", b"2" * 50)))
    data[place % len(data)] ^= 0xFF
    try:
        with open_zip(io.BytesIO(bytes(data))) as file:
            assert len(file.namelist()) <= 2
    except UnsafeZipError:
        pass


def test_a_name_that_occurs_twice_is_refused():
    assert problem(archive(("a/b", b"1"), ("a/b", b"2"))) == "it holds 'a/b' twice"


@pytest.mark.parametrize("name", ["/etc/passwd", "a/../../b", "..", "C:/x", "a\\..\\b", "a/b\nc"])
def test_a_name_outside_of_the_archive_is_refused(name):
    assert "a name outside of the archive" in problem(archive((name, b"1")))


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused():
    data = archive(("a/b", b"\0" * (80 * 2**20)), compression=zipfile.ZIP_DEFLATED)
    assert problem(data) == f"its {len(data)} bytes unpack to {80 * 2**20}"


def test_an_encrypted_archive_is_refused():
    data = bytearray(archive(("a/b", b"1")))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert problem(bytes(data)) == "it is encrypted"
