"""A baseline survives whole, or is refused; it is never silently written over."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from guard.nets import block, counted, linear, named

import profiler.guard.baselines as module
from profiler.errors import BaselineError, OutputError
from profiler.guard import Acceptance, Baselines, compact, diff
from profiler.tally import load
from profiler.tally.saved import to_json


@pytest.fixture(scope="module")
def p():
    return counted(named(a=block(), fc=linear()))


@pytest.fixture
def kept(tmp_path, p) -> Baselines:
    baselines = Baselines(tmp_path / "baselines")
    baselines.accept([Acceptance.of(baselines.read("net"), p)])
    return baselines


def test_an_accepted_profile_comes_back(kept, p):
    found = kept.read("net")
    assert found.profile == compact(p)
    assert diff(p, found.profile).is_empty
    assert found.path.name == "net.json"


def test_a_baseline_is_a_saved_profile(kept, p):
    assert load(kept.folder / "net.json").totals == p.totals
    assert load(kept.folder / "net.json").nodes["a"].total == p.nodes["a"].total


def test_a_baseline_has_the_figures_of_its_profile_and_not_its_details(p):
    short = compact(p)
    assert short.totals == p.totals
    assert short.phases == p.phases
    assert not short.memory.timeline
    assert all(entry.record.arguments == () for entry in short.entries)


def test_only_the_baselines_lie_in_their_folder(kept):
    assert [path.name for path in kept.folder.iterdir()] == ["net.json"]


def test_the_same_profile_is_no_new_baseline(kept, p):
    assert Acceptance.of(kept.read("net"), p) is None
    assert Acceptance.of(kept.read("net"), counted(named(a=block()))) is not None


def test_no_baseline_is_no_profile(kept):
    assert kept.read("other").profile is None


def test_names_that_are_no_file_names_have_files_of_their_own(tmp_path):
    names = ["hf:gpt2", "hf-gpt2", "hf/gpt2", "a b", "a-b", "../a", "test.py::test[1-2]", "test.py::test[1:2]"]
    paths = {Baselines(tmp_path).read(name).path for name in names}
    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {tmp_path}


@pytest.mark.parametrize("keep", [0, 1, 100, -2])
def test_a_baseline_cut_short_is_refused(kept, keep):
    path = kept.folder / "net.json"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        BaselineError, match=r"net\.json is not JSON, or was cut short .*; restore it, or delete it"
    ) as e:
        kept.read("net")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"profiler/1"', '"profiler/0"', "has schema 'profiler/0', and this version reads 'profiler/1'"),
        ('"schema": "profiler/1",', "", "has no schema"),
        ('"macs": 192', '"macs": 191', "was changed after it was saved"),
        ('"macs"', '"macz"', "is not a complete profile"),
        ('"profiler/1"', '"profiler/1\udcff"', "is not text"),
    ],
)
def test_a_baseline_of_an_older_schema_or_edited_is_refused(kept, old, new, message):
    path = kept.folder / "net.json"
    path.write_bytes(path.read_text().replace(old, new, 1).encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    with pytest.raises(BaselineError, match=message):
        kept.read("net")
    assert path.read_bytes() == before


def test_a_baseline_that_another_wrote_meanwhile_is_not_written_over(kept, p):
    mine, theirs = kept.read("net"), kept.read("net")
    kept.accept([Acceptance.of(theirs, counted(named(a=block())))])
    accepted = (kept.folder / "net.json").read_bytes()
    with pytest.raises(BaselineError, match=r"net\.json was written by another process since it was read"):
        kept.accept([Acceptance.of(mine, counted(named(fc=linear())))])
    assert (kept.folder / "net.json").read_bytes() == accepted


def test_a_baseline_that_another_made_meanwhile_is_not_written_over(kept):
    absent = kept.read("new")
    kept.accept([Acceptance.of(absent, counted(named(a=block())))])
    with pytest.raises(BaselineError, match="was written by another process"):
        kept.accept([Acceptance.of(absent, counted(named(fc=linear())))])


def test_one_refused_baseline_keeps_all_of_them_as_they_were(kept):
    stale, fresh = kept.read("net"), kept.read("other")
    kept.accept([Acceptance.of(stale, counted(named(a=block())))])
    with pytest.raises(BaselineError):
        kept.accept([Acceptance.of(one, counted(named(fc=linear()))) for one in (fresh, stale)])
    assert not (kept.folder / "other.json").exists()


def test_a_set_is_not_mixed_with_that_of_another_process(tmp_path):
    """Of two baselines, one is found unchanged before another process writes both, and one is read after that."""
    small, large = counted(named(fc=linear())), counted(named(a=block()))

    def update(baselines, names, profile):
        read = [baselines.read(name) for name in names]
        return [one for one in (Acceptance.of(baseline, profile) for baseline in read) if one is not None]

    ours, theirs = Baselines(tmp_path), Baselines(tmp_path)
    ours.accept(update(ours, "xy", small))
    accepted = update(ours, "x", small)
    theirs.accept(update(theirs, "xy", large))
    accepted += update(ours, "y", small)
    with pytest.raises(BaselineError, match=r"x\.json was written by another process since it was read"):
        ours.accept(accepted)
    assert [ours.read(name).profile for name in "xy"] == [compact(large), compact(large)]
    ours.accept(update(ours, "xy", small))
    assert [ours.read(name).profile for name in "xy"] == [compact(small), compact(small)]


def test_two_that_accept_the_same_agree(kept):
    one, other = kept.read("net"), kept.read("net")
    new = counted(named(a=block()))
    kept.accept([Acceptance.of(one, new)])
    kept.accept([Acceptance.of(other, new)])
    assert kept.read("net").profile == compact(new)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, p):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        Baselines(tmp_path / "file" / "baselines").accept([])


def write(folder: str, barrier, texts: list[str], outcomes) -> None:
    """Try to accept each text in turn, having read what was there before the race; writing takes a while."""
    whole = module.write_whole
    module.write_whole = lambda path, text: (time.sleep(0.02), whole(path, text))
    baselines = Baselines(Path(folder))
    for text in texts:
        digest = baselines.read("net").digest
        barrier.wait(timeout=60)
        try:
            baselines.accept([Acceptance("net.json", digest, text)])
            outcomes.put("written")
        except BaselineError as error:
            outcomes.put(str(error))


def test_of_two_processes_that_write_at_once_one_is_refused(tmp_path):
    """Both read the same baseline, wait for each other, and write different ones; ten times over."""
    rounds = 10
    context = multiprocessing.get_context("fork")
    barrier, outcomes = context.Barrier(2), context.Queue()
    texts = [[to_json(compact(counted(named(a=linear(1 + i + 20 * who))))) for i in range(rounds)] for who in range(2)]
    writers = [context.Process(target=write, args=(str(tmp_path), barrier, mine, outcomes)) for mine in texts]
    for writer in writers:
        writer.start()
    found = [outcomes.get(timeout=60) for _ in range(2 * rounds)]
    for writer in writers:
        writer.join(timeout=60)
    assert found.count("written") == rounds
    assert sum("was written by another process since it was read" in text for text in found) == rounds
    assert (tmp_path / "net.json").read_text() in {texts[0][-1], texts[1][-1]}
    assert Baselines(tmp_path).read("net").profile is not None
