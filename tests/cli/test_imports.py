"""What each command imports: nothing that takes long to import, unless the command needs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import profiler

#: Packages that take long to import, or that only some commands need.
HEAVY = frozenset({
    "cloudpickle", "fvcore", "jinja2", "joblib", "matplotlib", "numpy", "plotly", "ptflops", "pydantic", "scipy",
    "sympy", "thop", "timm", "torch", "torchvision", "transformers", "triton",
})  # fmt: skip
COMMANDS = {
    "--help": {"pydantic"},
    "--version": {"pydantic"},
    "check --help": set(),
    "derive --help": set(),
    "devices": {"pydantic"},
    "devices l4": {"pydantic"},
    "diff --help": set(),
    "diff saved.json saved.json": {"pydantic"},
    "documents": {"pydantic"},
    "operators --help": set(),
    "peers": {"cloudpickle"},
    "peers fvcore": {"cloudpickle"},
    "verify --help": set(),
    "view --help": set(),
    "view saved.json": {"pydantic"},
    "view saved.json --format json": {"pydantic"},
    "view saved.json --format markdown": {"pydantic"},
}
PROGRAM = """
import sys
from profiler.cli import main
status = main(sys.argv[1:])
sys.stderr.write("\\n" + " ".join(sys.modules))
sys.exit(status)
"""


def imported(folder, *words):
    """Run a command in a process of its own, and return the modules that it has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder, env=os.environ | {"XDG_CACHE_HOME": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:2000]
    assert done.stdout
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("imports")
    profiler.count(torch.nn.Linear(4, 4, device="meta"), torch.empty(1, 4, device="meta")).save(path / "saved.json")
    (path / "nets.py").write_text("import torch\n\n\ndef net():\n    return torch.nn.Linear(4, 4)\n")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_it_needs_alone(command, folder):
    assert HEAVY & imported(folder, *command.split()) <= COMMANDS[command]


def test_the_operators_are_listed_without_torch_once_they_were_listed_with_it(folder):
    assert "torch" in imported(folder, "operators", "bmm")
    assert not HEAVY & imported(folder, "operators")


def test_a_profile_needs_neither_sympy_nor_the_registry_of_torch(folder):
    modules = imported(folder, "nets.py:net", "--input", "4")
    assert "torch" in modules
    assert not {"profiler.derive", "profiler.expressions", "profiler.verify", "torch.utils.flop_counter"} & modules
    assert not {"timm", "torchvision", "transformers", "profiler.peers.worker_pool"} & modules


def test_a_report_needs_no_device_and_no_document(folder):
    modules = imported(folder, "nets.py:net", "--input", "4")
    rooms = {"profiler.devices.device", "profiler.projection", "profiler.documents", "profiler.guard.budgets"}
    assert "profiler.report.formats.text" in modules
    assert not {"pydantic", "jinja2", "plotly", "scipy", *rooms} & modules


STARTS = """
import sys
from profiler.peers import WorkerPool

def enter(pool):
    sys.stderr.write(f"imports {pool._imports}, torch {'torch' in sys.modules}\\n")
    sys.exit(7)

WorkerPool.__enter__ = enter
from profiler.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "libraries"),
    [
        ("resnet18", ["torchvision"]),
        ("torchvision:resnet18", ["torchvision"]),
        ("timm:vit_tiny_patch16_224", ["timm"]),
        ("hf:gpt2", ["transformers.modeling_utils"]),
        ("nets.py:net", []),
        ("compare resnet18 timm:vit_tiny_patch16_224 resnet50", ["torchvision", "timm"]),
    ],
)
def test_the_processes_of_peers_start_before_torch_is_imported(words, libraries):
    command = [sys.executable, "-c", STARTS, *words.split(), "--against", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[0] == f"imports {['torch', *libraries, 'profiler.targets']}, torch False"


@pytest.mark.parametrize("words", ["resnet18 --against fvcor", "resnet18 --on l5 --against all", "resnet18 --fps 30"])
def test_a_mistake_in_the_options_is_found_before_torch_is_imported(words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "torch" not in done.stderr.splitlines()[-1].split()
