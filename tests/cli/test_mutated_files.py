"""Data files changed at random: each is read, or refused in one line; never a traceback, and never a long wait.

The seed is fixed; ``PROFILER_FUZZ_SEED`` and ``PROFILER_FUZZ_FILES`` give the slow test another seed and more files.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

import pytest
from cli.command import run
from cli.mutations import mutate

from profiler.projection.time_table_files import FOLDER

NETS = """
from torch import nn
def net(): return nn.Linear(8, 4)
"""
BUDGETS = b"""
baselines = "baselines"

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
macs = 64
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
#: How each kind of file is read; the file is the last word.
KINDS = {
    "profile": ("view",),
    "difference": ("diff", "good.json"),
    "baseline": ("check", "good.toml"),
    "budgets": ("check",),
    "pipeline": ("plan", "--on", "l4"),
    "claims": ("verify",),
    "devices": ("nets.py:net", "--input", "8", "--on"),
    "config": (),
    "measurements": ("calibrate", "--on", "l4"),
    "time table": ("nets.py:net", "--input", "8", "--on", "l4", "--efficiency"),
    "prices": ("rank", "nets.py:net", "--input", "8", "--on", "l4,t4", "--prices"),
}
#: Its ending, where it is not ``.toml``.
ENDINGS = {"profile": "json", "difference": "json", "config": "json", "time table": "json"} | dict.fromkeys(
    ("measurements", "prices"), "csv"
)
#: Those that take a model to be counted, and so more time.
COUNTS_MODELS = frozenset({"measurements", "time table", "prices"})
LIMIT_S = 30


@pytest.fixture
def samples(here: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, bytes]:
    """Return a valid file of each kind."""
    budget = '[[budget]]\ntarget = "nets.py:net"\ninput = "8"\nmacs = "+0 %"\n'
    (here / "good.toml").write_text(budget)
    assert run(capsys, "check", "good.toml", "--update").status == 0
    words = ("nets.py:net", "--input", "8", "--train", "--on", "l4", "--format", "json", "--output", "good.json")
    assert run(capsys, *words).status == 0
    (baseline,) = (here / "baselines").iterdir()
    saved = (here / "good.json").read_bytes()
    files = {"profile": saved, "difference": saved, "baseline": baseline.read_bytes(), "config": CONFIG}
    table = (FOLDER / "gpu-eager-inference.json").read_bytes()
    files |= {"measurements": MEASUREMENTS, "prices": PRICES, "time table": table}
    return files | {"budgets": BUDGETS, "pipeline": PIPELINE, "claims": CLAIMS, "devices": DEVICES}


def check_file(capsys, kind: str, data: bytes, here: Path) -> int:
    """Read a file as its kind; return the exit status."""
    if kind == "baseline":
        (path,) = (here / "baselines").iterdir()
        words = KINDS[kind]
    else:
        path = here / f"x.{ENDINGS.get(kind, 'toml')}"
        words = (*KINDS[kind], f"hf:{path.name}" if kind == "config" else path.name)
    path.write_bytes(data)
    start = time.monotonic()
    status, out, err = run(capsys, *words)
    seconds = time.monotonic() - start
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status in {0, 1, 2, 3}, f"{kind} {status}: {err[:1500]}\n{data!r:.3000}"
    assert len(errors) == (status != 0), f"{kind}: {err[:1500]}\n{data!r:.3000}"
    assert "Traceback" not in err + out, f"{kind}: {err[:1500]}\n{data!r:.3000}"
    assert all(len(line) < 1700 for line in errors)
    assert seconds < LIMIT_S, f"{kind} took {seconds:.0f} s\n{data!r:.3000}"
    return status


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_valid(capsys, here, samples, kind):
    assert check_file(capsys, kind, samples[kind], here) in {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_is_read_or_refused_in_one_line(capsys, here, samples, kind):
    random = Random(f"{kind} 0")  # noqa: S311 - no secret
    statuses = {check_file(capsys, kind, mutate(samples[kind], random), here) for _ in range(12)}
    assert statuses & {2, 3}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_files_are_read_or_refused_in_one_line(capsys, here, samples, kind):
    seed = os.environ.get("PROFILER_FUZZ_SEED", "1")
    files = int(os.environ.get("PROFILER_FUZZ_FILES", "50" if kind in COUNTS_MODELS else "250"))
    random = Random(f"{kind} {seed}")  # noqa: S311 - no secret
    for _ in range(files):
        check_file(capsys, kind, mutate(samples[kind], random), here)
