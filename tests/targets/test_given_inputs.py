"""Inputs with values: of a file of ``torch.save``, and of a factory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from profiler.errors import InputError
from profiler.run.count_target import count_target
from profiler.targets import Argument, Target, build_with_inputs, make_inputs


class Model(nn.Module):
    """Takes a dict of a list of images, a mode, and a complex tensor."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, parts, mode="once", spectrum=None):
        total = sum(self.layer(image) for image in parts["images"] * (2 if mode == "twice" else 1))
        return total if spectrum is None else total + (spectrum @ spectrum).real.sum()


class Batch(nn.Module):
    """Takes a dict as its one argument."""

    def forward(self, batch):
        return batch["image"] @ batch["image"].mT


PARTS = {"images": [torch.ones(2, 8), torch.ones(2, 8)]}
SPECTRUM = torch.zeros(3, 3, dtype=torch.complex64)
#: Two images of two rows through 8 × 4 weights.
ONCE = 2 * 2 * 8 * 4
COMPLEX = 4 * 3**3

FACTORIES = """
from targets.test_given_inputs import PARTS, SPECTRUM, Batch, Model

def args(): return Model(), (PARTS, "twice")
def kwargs(): return Model(), {"parts": PARTS, "spectrum": SPECTRUM}
def both(): return Model(), (PARTS,), {"mode": "twice", "spectrum": SPECTRUM}
def one(): return Batch(), {"image": SPECTRUM.real}
def plain(): return Model()
def pair(): return Model(), Model()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("factory", "macs"), [("args", 2 * ONCE), ("kwargs", ONCE + COMPLEX), ("both", 2 * ONCE + COMPLEX), ("one", 27)]
)
def test_a_factory_may_return_inputs_of_any_kind(folder, factory, macs, device):
    assert count_target(f"nets.py:{factory}", device=device).totals.macs == macs


@pytest.mark.parametrize(
    ("content", "macs"),
    [
        ({"parts": PARTS, "mode": "twice"}, 2 * ONCE),
        ((PARTS, "twice"), 2 * ONCE),
        (((PARTS,), {"mode": "twice", "spectrum": SPECTRUM}), 2 * ONCE + COMPLEX),
        (PARTS, ONCE),
    ],
)
def test_a_file_holds_inputs_of_any_kind(folder, content, macs):
    torch.save(content, "batch.pt")
    assert count_target("nets.py:plain", specs=["@batch.pt"]).totals.macs == macs


def test_the_values_arrive_and_floating_ones_are_cast_only_if_asked(folder):
    numbers = torch.arange(16, dtype=torch.float32).view(2, 8)
    torch.save({"images": [numbers]}, "batch.pt")
    for dtype in (None, "float64"):
        _, (parts,), _ = build_with_inputs("nets.py:plain", ["@batch.pt"], dtype=dtype)
        assert parts["images"][0].dtype is getattr(torch, dtype or "float32")
        assert torch.equal(parts["images"][0], numbers.to(parts["images"][0].dtype))


def test_shapes_replace_the_inputs_of_a_factory_by_name(folder):
    model, args, kwargs = build_with_inputs("nets.py:kwargs", ["spectrum=5x5:complex64"])
    assert not args
    assert kwargs["spectrum"].shape == (5, 5)
    assert len(kwargs["parts"]["images"]) == 2
    model(**kwargs)


def test_a_batch_repeats_inputs_that_have_one_sample_and_refuses_others():
    target = Target("batch", Batch, (Argument({"image": torch.ones(1, 2, 3)}),))
    (batch,), _ = make_inputs(target, Batch(), batch=5, device="cpu")
    assert batch["image"].shape == (5, 2, 3)
    two = Target("batch", Batch, (Argument({"image": torch.ones(2, 3)}),))
    with pytest.raises(InputError, match=r"a batch of 5 does not fit an input that has values, .* is 2"):
        make_inputs(two, Batch(), batch=5)


def test_values_on_meta_are_made_where_they_are_needed():
    target = Target("batch", Batch, (Argument({"image": torch.ones(2, 3, device="meta")}),))
    (batch,), _ = make_inputs(target, Batch(), device="cpu")
    assert batch["image"].device.type == "cpu"
    assert batch["image"].shape == (2, 3)


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("evil", "w")


def test_a_file_runs_no_code(folder):
    torch.save({"parts": Evil()}, "batch.pt")
    with pytest.raises(InputError, match=r"holds an object of .*open, and no code of a file is run"):
        count_target("nets.py:plain", specs=["@batch.pt"])
    assert not (folder / "evil").exists()


def _nested(depth):
    return [_nested(depth - 1)] if depth else 1


def _explosive():
    value = [1]
    for _ in range(40):
        value = [value, value]
    return value


@pytest.mark.parametrize("value", [_nested(200), _explosive(), [0] * 200_000], ids=["deep", "shared", "long"])
def test_more_values_than_a_model_takes_are_refused(folder, value):
    torch.save((value,), "batch.pt")
    with pytest.raises(InputError, match="more than 100000 values, or are nested deeper than 100"):
        count_target("nets.py:plain", specs=["@batch.pt"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no input file 'batch.pt'"),
        (b"junk", "is not a file of torch.save: it is not a complete zip file"),
        (b"", "is not a file of torch.save"),
    ],
)
def test_a_missing_or_damaged_file_is_one_line(folder, content, reason):
    if content is not None:
        (folder / "batch.pt").write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        count_target("nets.py:plain", specs=["@batch.pt"])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_short_is_one_line(folder):
    torch.save((PARTS,), "whole.pt")
    whole = (folder / "whole.pt").read_bytes()
    for length in range(0, len(whole), 97):
        (folder / "batch.pt").write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            count_target("nets.py:plain", specs=["@batch.pt"])
        assert "\n" not in str(caught.value)


def test_a_file_above_a_gibibyte_is_refused_unread(folder):
    with (folder / "batch.pt").open("wb") as file:
        file.truncate(2**30 + 1)  # sparse: it takes no room
    with pytest.raises(InputError, match=r"has 1\.000 GiB; an input file has at most 1\.000 GiB"):
        count_target("nets.py:plain", specs=["@batch.pt"])


def test_two_files_are_refused(folder):
    with pytest.raises(InputError, match="2 input files are named"):
        count_target("nets.py:plain", specs=["@a.pt", "@b.pt"])
