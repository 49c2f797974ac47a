"""A file of ``torch.jit.save`` whose records are damaged is refused before torch reads past their end."""

from __future__ import annotations

import shutil
import zipfile

import pytest
import torch
from torch import nn

from profiler.errors import TargetError
from profiler.targets.storage_records import check_storages

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Attributes(nn.Module):
    """A module with tensors in every place where a scripted module can keep one."""

    def __init__(self):
        super().__init__()
        whole = torch.arange(12.0)
        self.register_buffer("whole", whole)
        self.register_buffer("view", whole[4:8])
        self.half = torch.ones(3, dtype=torch.float16)
        self.brain = torch.ones(3, dtype=torch.bfloat16)
        self.flags = torch.ones(3, dtype=torch.bool)
        self.codes = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
        self.empty = torch.empty(0)
        self.listed = [torch.ones(2), torch.ones(3)]
        self.named = {"one": torch.ones(2)}
        self.pair = (torch.ones(2, dtype=torch.complex64), 3, "text", [1, 2], [1.0], None)

    def forward(self, x):
        return x + self.whole


def saved(model, path):
    torch.jit.save(torch.jit.script(model.eval()), path)
    return path


@pytest.fixture
def scripted(tmp_path):
    return saved(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), tmp_path / "net.ts")


def rewritten(path, name, change):
    """Return a copy of an archive in which the record that ends with *name* is changed, or gone."""
    copy = path.with_name("changed.ts")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(name):
                data = change(data)
            if data is not None:
                new.writestr(entry.filename, data)
    return copy


@pytest.mark.parametrize(
    "make",
    [
        Attributes,
        lambda: nn.LSTM(3, 5, num_layers=2, bidirectional=True),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(torch.bfloat16),
        lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        lambda: torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 8)), {nn.Linear}),
        nn.Identity,
    ],
    ids=["attributes", "lstm", "bfloat16", "encoder", "quantized", "nothing"],
)
def test_what_torch_saves_is_whole(make, tmp_path):
    check_storages(saved(make(), tmp_path / "net.ts"))


def test_a_frozen_script_is_whole(tmp_path):
    frozen = torch.jit.freeze(torch.jit.script(nn.Linear(8, 4).eval()))
    torch.jit.save(frozen, tmp_path / "net.ts")
    check_storages(tmp_path / "net.ts")


@pytest.mark.parametrize(("length", "held"), [(0, 0), (127, 127)])
def test_a_record_that_is_too_short_is_named(scripted, length, held):
    with pytest.raises(TargetError, match=f"net/data/0 holds {held} of 128 bytes"):
        check_storages(rewritten(scripted, "net/data/0", lambda data: data[:length]))


def test_a_record_that_is_gone_is_named(scripted):
    with pytest.raises(TargetError, match="net/data/1 holds 0 of 16 bytes"):
        check_storages(rewritten(scripted, "net/data/1", lambda _: None))


def test_a_storage_of_a_larger_dtype_than_its_record_is_refused(scripted):
    doubled = rewritten(scripted, "net/data.pkl", lambda data: data.replace(b"torch\nFloatS", b"torch\nDoubleS"))
    with pytest.raises(TargetError, match="net/data/0 holds 128 of 256 bytes"):
        check_storages(doubled)


def test_a_pickle_imports_nothing(scripted, tmp_path):
    makes_a_folder = b"cos\nmkdir\n(V" + str(tmp_path / "made").encode() + b"\ntR."
    check_storages(rewritten(scripted, "net/data.pkl", lambda _: makes_a_folder))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("data", [b"", b"\x80", b"]" * 9, b"\x80\x02]q\x00(X\x03\x00\x00\x00"])
def test_a_pickle_that_cannot_be_read_is_one_line(scripted, data):
    with pytest.raises(
        TargetError, match=r"changed\.ts is not a scripted module .*: its objects cannot be read \([^\n]*\)$"
    ):
        check_storages(rewritten(scripted, "net/data.pkl", lambda _: data))


def test_the_command_refuses_it_with_and_without_trust(scripted, capsys):
    from profiler.cli import main

    short = rewritten(scripted, "net/data/0", lambda _: b"")
    shutil.move(short, scripted)
    for words in ([], ["--trust"]):
        assert main([str(scripted), "--input", "2x8", "--quiet", *words]) == 2
        assert "holds 0 of 128 bytes" in capsys.readouterr().err
