"""A valid file of each kind that the package reads, and what reads it."""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import nn

from profiler.devices.server import read_servers
from profiler.formulas import cached_catalogue
from profiler.projection import this_machine
from profiler.projection.measured_machine import MeasuredMachine
from profiler.projection.time_table_files import FOLDER
from profiler.run.sweep_journal import SweepJournal
from profiler.run.sweep_points import SweepPoint
from profiler.targets.presets import read_presets
from trust_checks.commands import Ran, run_command

#: The file of the models that the samples name.
NETS = """
from torch import nn
def net(): return nn.Linear(8, 4)
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 4)
    def forward(self, x, scale):
        return self.layer(x) * scale["by"]
"""
_NET = ("nets.py:net", "--input", "8")
BUDGETS = b"""
baselines = "kept"

[[budget]]
target = "nets.py:net"
input = "8"
macs = 32
params = "+0 %"
operators."aten.addmm".calls = 1
modules."*".flops = "+1 %"

[[budget]]
name = "training"
target = "nets.py:net"
input = ["8"]
batch = 2
train = true
optimizer = "adamw"
freeze = ["bias"]
macs = 128
"""
PIPELINE = b"""
name = "two"
note = "a note"

[[stages]]
name = "see"
target = "nets.py:net"
input = ["8"]
batch = 1
per_s = 30
precision = "fp16"
device = "l4"

[[stages]]
name = "think"
target = "nets.py:net"
input = ["8"]
every_s = 2.5
"""
CLAIMS = b"""
title = "A document"
origin = "somewhere"

[[claims]]
id = "weights"
says = "It has 36 parameters."
kind = "fact"
unit = "parameter"
printed = "36"
measures.ours = { target = "nets.py:net", input = ["8"], count = "params" }

[[claims]]
id = "sum"
says = "2 and 2 are 4."
kind = "arithmetic"
unit = "FLOP"
printed = "4"
expression = "a + b"
variables = { a = 2, b = "2" }
causes = [{ kind = "rounding", why = "because", gives = "now" }]
"""
DEVICES = b"""
vendor = "me"

[sources.sheet]
title = "Data sheet"
url = "https://example.org"
read = true

[devices.board]
name = "My board"
kind = "NPU"
year = 2026
confidence = "high"
sources = ["sheet"]
aliases = ["brd"]
memory_gib = 8
bandwidth_bytes_per_s = 1e11
power_w = 20
peak_ops_per_s = { fp32 = 4e12, fp16 = 8e12 }
vector_ops_per_s = { fp32 = 1e12 }
not_read = ["int8"]
note = "a note"
parts = { bus_bits = 64, pin_gbit_per_s = 4.0, lanes = 128, lane_mhz = 1000 }
"""
CONFIG = b"""{
 "model_type": "bert",
 "architectures": ["BertModel"],
 "hidden_size": 32,
 "num_attention_heads": 2,
 "num_hidden_layers": 1,
 "intermediate_size": 64,
 "vocab_size": 100,
 "max_position_embeddings": 64,
 "hidden_act": "gelu",
 "layer_norm_eps": 1e-12,
 "id2label": {"0": "a"}
}"""
MEASUREMENTS = b"target,ms,batch,input,precision,mode,step\n" + b"".join(
    b"nets.py:net,%d.5,%d,8,fp32,eager,inference\n" % (i, i) for i in range(1, 9)
)
PRICES = b"device,price\nl4,2500\nt4,900.50\n"

SERVERS = b"""
[sources.sheet]
title = "Data sheet"
url = "https://example.org"

[servers.box]
devices = ["h100-sxm5-80gb"]
domain = 8
link_bytes_per_s = 4.5e11
network_bytes_per_s = 5e10
source = "sheet"
network_source = "sheet"
"""
PRESETS = b"""
[net]
class = "GPT2LMHeadModel"
source = "somewhere"
inputs = { input_ids = { shape = [1, 8], dtype = "int64" } }
configuration = { n_layer = 1, n_embd = 8, n_head = 2, vocab_size = 10 }
aliases = ["other"]
fill = { "transformer.wte.weight" = 0.5 }
"""
_POINT = SweepPoint("resnet18", 1, "", "float32", None)


class Net(nn.Module):
    """A model that is exported and scripted."""

    def __init__(self) -> None:
        """Make its layers."""
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, scale: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return what the layer makes of *x*, scaled."""
        return self.layer(x) * scale["by"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and what reads it.

    Attributes:
        file: The name that the file has.
        words: The command that reads it; the file's name is its last word.
        share: How many of 20,000 files are of this kind.
        prefix: What stands in front of the file's name.
        read: What reads it, for a file that no command names.
    """

    file: str
    words: tuple[str, ...] = ()
    share: int = 1000
    prefix: str = ""
    read: Callable[[Path], object] | None = None


def _read_journal(path: Path) -> object:
    return SweepJournal(path.with_name(path.name.removesuffix(".rows.jsonl"))).rows([_POINT])


def _read_machine(path: Path) -> object:
    """Read a measurement; what cannot be used is measured again, so that nothing may be raised."""
    machine = this_machine._read_cache(path)
    return machine.device if machine else None


def _read_catalogue(_path: Path) -> object:
    """Read the list of operators, as a command does before torch is imported."""
    modules = {name: module for name, module in sys.modules.items() if name != "torch"}
    with (
        patch.object(cached_catalogue, "sys", SimpleNamespace(modules=modules)),
        patch.object(cached_catalogue, "installed_code", lambda: "key"),
        patch.object(cached_catalogue, "_listed", lambda: ((), ())),
    ):
        return cached_catalogue.operator_catalogue()


KINDS = {
    "profile": Kind("x.json", ("view",), 2500),
    "difference": Kind("x.json", ("diff", "good.json"), 1500),
    "baseline": Kind("baselines", ("check", "good.toml"), 2000),
    "budgets": Kind("x.toml", ("check",), 2000),
    "pipeline": Kind("x.toml", ("plan", "--on", "l4"), 1500),
    "claims": Kind("x.toml", ("verify",), 1500),
    "devices": Kind("x.toml", (*_NET, "--on"), 1500),
    "config": Kind("x.json", (), 1000, prefix="hf:"),
    "measurements": Kind("x.csv", ("calibrate", "--on", "l4")),
    "time table": Kind("x.json", (*_NET, "--on", "l4", "--efficiency")),
    "prices": Kind("x.csv", ("rank", *_NET, "--on", "l4,t4", "--prices")),
    "input file": Kind("x.pt", ("nets.py:Scaled", "--input-file")),
    "exported": Kind("x.pt2", ()),
    "scripted": Kind("x.ts", ("--input", "8", "--input", "8"), 500),
    "servers": Kind("x.toml", read=read_servers, share=500),
    "presets": Kind("x.toml", read=read_presets, share=500),
    "journal": Kind("x.csv.rows.jsonl", read=_read_journal, share=500),
    "measured machine": Kind("local-cpu.json", read=_read_machine, share=500),
    "cached catalogue": Kind(".cache/profiler/operators.json", read=_read_catalogue, share=500),
}


def write_samples(folder: Path) -> dict[str, bytes]:
    """Write what the samples name into the current *folder*, and return the content of a valid file of each kind."""
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "good.toml").write_text(
        '[[budget]]\ntarget = "nets.py:net"\ninput = "8"\nmacs = "+0 %"\n', encoding="utf-8"
    )
    _must_pass("check", "good.toml", "--update")
    _must_pass(*_NET, "--train", "--on", "l4", "--format", "json", "--output", "good.json")
    (folder / "x.toml").write_bytes(BUDGETS)
    _must_pass("check", "x.toml", "--update")
    (baseline,) = (folder / "baselines").iterdir()
    saved = (folder / "good.json").read_bytes()
    return {
        "profile": saved, "difference": saved, "baseline": baseline.read_bytes(), "budgets": BUDGETS,
        "pipeline": PIPELINE, "claims": CLAIMS, "devices": DEVICES, "config": CONFIG, "measurements": MEASUREMENTS,
        "time table": (FOLDER / "gpu-eager-inference.json").read_bytes(), "prices": PRICES, "servers": SERVERS,
        "presets": PRESETS, "journal": _journal(), "measured machine": _machine(), "cached catalogue": _catalogue(),
        **_saved_tensors(),
    }  # fmt: skip


def _must_pass(*words: str) -> Ran:
    ran = run_command(*words)
    if ran.status != 0:
        msg = f"profiler {' '.join(words)} failed: {ran.err}"
        raise RuntimeError(msg)
    return ran


def _saved_tensors() -> dict[str, bytes]:
    inputs = (torch.ones(3, 8), {"by": torch.ones(4)})
    files = {name: io.BytesIO() for name in ("input file", "exported", "scripted")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript
        torch.save({"x": inputs[0], "scale": inputs[1]}, files["input file"])
        torch.export.save(torch.export.export(Net(), inputs), files["exported"])
        torch.jit.save(torch.jit.script(nn.Bilinear(8, 8, 4)), files["scripted"])
    return {name: file.getvalue() for name, file in files.items()}


def _journal() -> bytes:
    row = asdict(_POINT) | {"status": "counted", "macs": 7}
    return b"".join(json.dumps(row | {"batch": i}).encode() + b"\n" for i in range(3))


def _machine() -> bytes:
    curve = ((1e3, 1e9), (1e6, 1e10))
    identity = this_machine.machine_identity(torch.device("cpu"))
    rates = dict.fromkeys(("convolution", "depthwise", "bandwidth"), curve)
    machine = MeasuredMachine(identity, "2026-01-01", 2**33, gemm={"float32": curve}, floor_s=1e-6, **rates)
    return json.dumps(asdict(machine)).encode()


def _catalogue() -> bytes:
    row = cached_catalogue._to_row(cached_catalogue._listed())
    return json.dumps({"key": "key", "result": {name: rows[:5] for name, rows in row.items()}}, default=str).encode()
