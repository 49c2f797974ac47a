"""Data files changed at random: each is read, or refused in one line; never a traceback, and never a long wait.

``scripts/trust files`` reads many more of them.
"""

from __future__ import annotations

from contextlib import chdir

import pytest
from trust_checks.parts.files import changed, read
from trust_checks.samples import KINDS, write_samples


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Return a folder, and a valid file of each kind that is read there."""
    folder = tmp_path_factory.mktemp("samples")
    with chdir(folder), pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        yield folder, write_samples(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_valid(samples, kind):
    folder, contents = samples
    status, wrong = read(KINDS[kind], contents[kind], folder)
    assert (status in {0, 1}, wrong) == (True, "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_is_read_or_refused_in_one_line(samples, kind):
    folder, contents = samples
    for number in range(6):
        _, wrong = read(KINDS[kind], changed(contents[kind], kind, 1, number), folder)
        assert not wrong, number


def test_some_changed_files_are_refused(samples):
    folder, contents = samples
    statuses = {read(KINDS["budgets"], changed(contents["budgets"], "budgets", 1, i), folder)[0] for i in range(12)}
    assert 2 in statuses
