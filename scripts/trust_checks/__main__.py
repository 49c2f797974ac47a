"""Run the parts, each in a process of its own, and print a line for each."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from trust_checks import parts
from trust_checks.outcome import lines

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = tuple(sorted(module.name for module in iter_modules(parts.__path__)))


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that are named, or all; return 1 if something was lost."""
    options = _parser().parse_args(words)
    if len(options.parts) == 1:
        return run_part(options.parts[0], quick=options.quick, seed=options.seed)
    print(f"seed {options.seed}", flush=True)
    return max(_run_apart(name, quick=options.quick, seed=options.seed) for name in options.parts or NAMES)


def run_part(name: str, *, quick: bool, seed: int) -> int:
    """Run one part in this process, print its lines, and return 1 if something was lost."""
    start = time.monotonic()
    outcome = import_module(f"{parts.__name__}.{name}").run(quick=quick, seed=seed)
    print("\n".join(lines(name, outcome, time.monotonic() - start)), flush=True)
    return int(bool(outcome.lost))


def _run_apart(name: str, *, quick: bool, seed: int) -> int:
    """Run one part in a process of its own; a part that crashes has lost something."""
    command = [sys.executable, "-m", "trust_checks", name, "--seed", str(seed), *(["--quick"] if quick else [])]
    status = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}).returncode
    if status not in {0, 1}:
        print(f"{name}: ended with status {status}", flush=True)
    return int(status != 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/trust", description="Try to break the package on purpose.")
    parser.add_argument("parts", nargs="*", choices=[*NAMES, []], metavar="PART", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="a small share of each part")
    parser.add_argument("--seed", type=_seed, default=0, help="a number, or 'fresh' for a new one; 0 by default")
    return parser


def _seed(word: str) -> int:
    return secrets.randbelow(2**31) if word == "fresh" else int(word)


if __name__ == "__main__":
    sys.exit(main())
