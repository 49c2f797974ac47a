"""User-defined models, from modules and files."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from profiler.errors import ModelError, TargetError, UnknownNameError
from profiler.targets import build, make_inputs, resolve

NETS = """
import torch
from torch import nn
from beside import WIDTH

def net(): return nn.Linear(WIDTH, 4)
def seven(): return 7
def nothing(): pass
def broken(): raise RuntimeError("no such weights")
def sized(width, *, depth, bias=True): return nn.Linear(width, width)
def lazy():
    from later import WIDTH
    return nn.Linear(WIDTH, 2)
class Net(nn.Linear):
    def __init__(self): super().__init__(WIDTH, 3)
class Nets:
    @staticmethod
    def deep(): return nn.Linear(WIDTH, 5)
made = nn.Linear(WIDTH, 6)
number = 3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "beside.py").write_text("WIDTH = 8\n")
    (tmp_path / "later.py").write_text("WIDTH = 8\n")
    (tmp_path / "raises.py").write_text("raise ValueError('at the top')\n")
    (tmp_path / "needs.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield
    for name in ("nets", "beside", "later", "raises", "needs"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("place", ["nets.py", "nets"])
@pytest.mark.parametrize(("factory", "width"), [("net", 4), ("lazy", 2), ("Net", 3), ("Nets.deep", 5), ("made", 6)])
def test_a_factory_is_a_function_a_class_or_a_module_that_is_made(place, factory, width):
    target = resolve(f"{place}:{factory}")
    module = build(target)
    (x,), _ = make_inputs(target, module, ["8"])
    assert module(x).shape == (1, width)
    assert module.weight.is_meta


def test_a_file_may_be_anywhere(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert build(resolve("../nets.py:net")).out_features == 4
    assert build(resolve(f"{tmp_path}/nets.py:net")).out_features == 4


def test_a_file_is_imported_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "nets.py"
    build(resolve("nets.py:net"))
    before = file.stat()
    file.write_text(NETS.replace("Linear(WIDTH, 4)", "Linear(WIDTH, 7)"))
    os.utime(file, (before.st_atime, before.st_mtime))  # as if it had been changed within the same second
    assert build(resolve("nets.py:net")).out_features == 7
    assert not list(tmp_path.glob("__pycache__/nets.*"))


def test_the_search_path_is_put_back():
    before = list(sys.path)
    build(resolve("nets.py:net"))
    assert sys.path == before


def test_on_the_cpu_a_factory_has_values():
    assert torch.isfinite(build(resolve("nets:net"), device="cpu").weight).all()


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("none.py:net", TargetError, "no file 'none.py'"),
        ("nets.py", TargetError, "'nets.py' does not name a factory in the file; write nets.py:FACTORY"),
        ("nets.py:", TargetError, "'nets.py:' does not name a factory in the file; write nets.py:FACTORY"),
        ("nets.py:nett", UnknownNameError, "no factory in nets.py named 'nett'; did you mean 'net'"),
        ("nets.py:Nets.shallow", UnknownNameError, "no factory in nets.py named 'Nets.shallow'; "),
        (
            "nets.py:number",
            TargetError,
            "nets.py:number is a value of type int; a target is an nn.Module, or a callable",
        ),
        ("nets.py:sized", TargetError, "nets.py:sized needs arguments (width, depth); a factory is called without any"),
        (
            "nets.py:seven",
            TargetError,
            "nets.py:seven returned a value of type int; a factory must return an nn.Module",
        ),
        ("nets.py:nothing", TargetError, "nets.py:nothing returned None; a factory must return an nn.Module"),
        ("nets.py:broken", ModelError, "nets.py:broken cannot be built: RuntimeError: no such weights"),
        ("no.such.module:net", TargetError, "no module named 'no.such.module'; "),
        (
            "tim:resnet18",
            TargetError,
            "no module named 'tim'; before the colon write a module, a .py file, timm or",
        ),
        ("raises.py:net", ModelError, "raises.py raised ValueError: at the top while it was imported"),
        ("raises:net", ModelError, "raises raised ValueError: at the top while it was imported"),
        ("needs:net", ModelError, "needs raised ModuleNotFoundError: No module named 'no_such_package' while it was"),
    ],
)
def test_what_is_wrong_with_a_factory_is_said_in_one_line(name, kind, message):
    with pytest.raises(kind) as caught:
        build(resolve(name))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
